"""The report: from summary.json to report.html and report.md.

summary.json, scores.jsonl and media enter, pages leave; nothing is computed here. Begin
at `page`.
"""
