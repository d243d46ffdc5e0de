"""CREPE and what follows it: the pitch and confidence of every frame.

Audio at 16 kHz enters, f0 in Hz and confidence leave. Begin at `tracker`; `network` is
the CREPE that it runs.
"""
