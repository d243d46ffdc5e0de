"""The exception for a person's mistake, shared by all programs."""


class InputError(Exception):
    """Something given cannot be used; the message is one clear sentence.

    A program prints the sentence and ends with a code of its own. Any other exception
    is a fault of this project: a traceback, and exit code 70. `has_lines` says that
    line breaks of the message are its own: names in it are printable already.
    """

    has_lines = False


def printable(text: str) -> str:
    """A sentence for the terminal: what would steer it is shown as Python writes it.

    Names of files may hold line breaks and escape sequences.
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
