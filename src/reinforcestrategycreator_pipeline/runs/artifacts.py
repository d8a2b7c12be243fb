"""Paths of a run's artifacts, relative to its folder."""

from __future__ import annotations

ARTIFACTS = {
    "bars": "data/bars.parquet",
    "features": "features/features.parquet",
    "feature_spec": "features/spec.json",
    "windows": "features/windows.json",
    "policy": "training/policy.safetensors",
    "history": "training/history.csv",
    "training_summary": "training/summary.json",
    "fits": "training/windows",
    "results": "evaluation/results.parquet",
    "all_trades": "evaluation/all_trades.parquet",
    "metrics": "evaluation/metrics.json",
    "behavior": "evaluation/behavior.json",
    "trades": "evaluation/trades.csv",
    "equity": "evaluation/equity.csv",
    "package": "deployment/package",
    "paper": "deployment/paper_trading.json",
}
POLICY = "policy.safetensors"  # of each window in "fits"
CONFIG = "config.yaml"
MANIFEST = "manifest.json"
LOG = "log.jsonl"
LOCK = ".lock"  # of the run and, beside the runs, of the store
LOOKS = "looks.jsonl"  # evaluations of test bars, of the run and, beside the runs, of the store
STUDIES = "studies"  # beside the runs: searches over configurations
COMPARISONS = "comparisons"  # beside the runs: pages that compare some of them
OWNER = ".lock.owner"  # Windows lets no other process read a file that is locked
STAGED = ".new"  # what stages write, until it is complete
RESERVED = (MANIFEST, CONFIG, LOG, LOOKS, LOCK, OWNER, STAGED)
# Rendered from the artifacts at any time, so these belong to no stage.
REPORT_HTML = "evaluation/report.html"
REPORT_MD = "evaluation/report.md"
