"""All trackers; importing this module registers the shipped ones."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.tracking import mlflow_tracker, tensorboard_tracker
from reinforcestrategycreator_pipeline.tracking.base import TRACKERS, Tracker

SHIPPED = (mlflow_tracker.MLflow, tensorboard_tracker.TensorBoard)

__all__ = ["SHIPPED", "TRACKERS", "Tracker"]
