"""All engines; importing this module registers the shipped ones."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.experiments.engines import inline, processes, ray_engine
from reinforcestrategycreator_pipeline.experiments.engines.base import ENGINES, Engine, kept_open

SHIPPED = (inline.Inline, processes.Processes, ray_engine.Ray)

__all__ = ["ENGINES", "SHIPPED", "Engine", "kept_open"]
