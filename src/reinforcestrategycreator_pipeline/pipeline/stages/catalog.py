"""The stages in their order, and where their artifacts are in a run's folder."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.stage import Stage
from reinforcestrategycreator_pipeline.pipeline.stages.data_ingestion import DataIngestion
from reinforcestrategycreator_pipeline.pipeline.stages.deployment import Deployment
from reinforcestrategycreator_pipeline.pipeline.stages.evaluation import Evaluation
from reinforcestrategycreator_pipeline.pipeline.stages.feature_engineering import (
    FeatureEngineering,
)
from reinforcestrategycreator_pipeline.pipeline.stages.training import Training

ARTIFACTS = {
    "bars": "data/bars.parquet",
    "features": "features/features.parquet",
    "feature_spec": "features/spec.json",
    "windows": "features/windows.json",
    "policy": "training/policy.safetensors",
    "history": "training/history.csv",
    "training_summary": "training/summary.json",
    "metrics": "evaluation/metrics.json",
    "trades": "evaluation/trades.csv",
    "equity": "evaluation/equity.csv",
    "report_html": "evaluation/report.html",
    "report_md": "evaluation/report.md",
    "package": "deployment/package",
    "paper": "deployment/paper_trading.json",
}


def build_stages(config: RunConfig) -> list[Stage]:
    """Return the stages of a run."""
    return [DataIngestion(), FeatureEngineering(), Training(), Evaluation(), Deployment()]
