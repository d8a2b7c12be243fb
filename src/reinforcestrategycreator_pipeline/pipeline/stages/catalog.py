"""The stages of a run, in order."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.experiments.engines.base import Engine
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


def build_stages(engine: Engine | None = None) -> list[Stage]:
    """Return the stages of a run, in order.

    Parameters
    ----------
    engine : Engine, optional
        Engine that runs the fits; by default the fastest of this machine.
    """
    return [DataIngestion(), FeatureEngineering(), Training(engine), Evaluation(), Deployment()]
