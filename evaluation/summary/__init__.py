"""The summary: from scores.jsonl to summary.json.

Rows of scores enter; aggregates, comparisons, gates and the verdict leave. Begin at
`builder`.
"""
