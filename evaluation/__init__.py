"""Trained runs → judgement: controls, metrics, comparison, report, rendering."""
