"""Scoring: from runs and clips to the rows of scores.jsonl.

Run directories and a dataset enter, scores.jsonl leaves. Begin at `clips`.
"""
