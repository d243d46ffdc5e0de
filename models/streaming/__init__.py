"""Models played block by block, with the same samples as the whole at once.

Features of some frames enter, their samples leave, a state goes on. Begin at `player`.
"""
