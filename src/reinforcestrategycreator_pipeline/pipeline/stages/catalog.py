"""The stages of a run, in order."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.pipeline.stage import Stage
from reinforcestrategycreator_pipeline.pipeline.stages.data_ingestion import DataIngestion
from reinforcestrategycreator_pipeline.pipeline.stages.deployment import Deployment
from reinforcestrategycreator_pipeline.pipeline.stages.evaluation import Evaluation
from reinforcestrategycreator_pipeline.pipeline.stages.feature_engineering import (
    FeatureEngineering,
)
from reinforcestrategycreator_pipeline.pipeline.stages.training import Training
from reinforcestrategycreator_pipeline.runs.artifacts import ARTIFACTS

__all__ = ["ARTIFACTS", "build_stages"]


def build_stages() -> list[Stage]:
    """Return the stages of a run, in order."""
    return [DataIngestion(), FeatureEngineering(), Training(), Evaluation(), Deployment()]
