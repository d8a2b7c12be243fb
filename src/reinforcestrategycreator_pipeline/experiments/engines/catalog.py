"""All engines; importing this module registers the shipped ones."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.experiments.engines import inline, processes
from reinforcestrategycreator_pipeline.experiments.engines.base import ENGINES, Engine

SHIPPED = (inline.Inline, processes.Processes)

__all__ = ["ENGINES", "SHIPPED", "Engine"]
