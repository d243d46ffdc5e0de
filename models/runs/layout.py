"""Names of the files and folders of a run directory."""

RUN_NAME = "run.json"
METRICS_NAME = "metrics.jsonl"
BEST_DIR = "best"  # the best checkpoint by the held-out batch
