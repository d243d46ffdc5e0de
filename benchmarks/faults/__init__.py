"""The programs killed, filled and multiplied: what they lose and what they cost.

Tiny datasets and models enter, lines of JSON leave. Begin at `kill_everything`;
docs/trust.md says what is promised.
"""
