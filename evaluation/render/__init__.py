"""Playing a trained model with a recording, MIDI or drawn curves.

A performance and a run enter, audio files leave. Begin at `job`.
"""
