"""The registry of brokers."""

from __future__ import annotations

from collections.abc import Callable

from reinforcestrategycreator_pipeline.deployment.brokers.base import Broker
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import SimulatedBroker
from reinforcestrategycreator_pipeline.registry import Registry

BROKERS: Registry[Callable[..., Broker]] = Registry(
    "broker",
    ("submit", "poll", "positions", "account"),
    "from reinforcestrategycreator_pipeline import broker",
)
"""Functions or classes that take the `PaperMarket` on which a run replays its test bars; their
keyword arguments are the parameters of the broker."""
broker = BROKERS.declare
"""Decorator that lets a configuration name a function that makes a broker."""

BROKERS.register("simulated")(SimulatedBroker)
