"""The exception for a person's mistake, shared by all programs."""


class InputError(Exception):
    """Something given cannot be used; the message is one clear sentence.

    A program prints the sentence and ends with a code of its own. Any other exception
    is a fault of this project: a traceback, and exit code 70.
    """
