"""Contract suites: tests to inherit that state what every component of a family must do.

They need pytest, and some of them hypothesis; no other part of the package imports them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reinforcestrategycreator_pipeline.testing.broker_contract import BrokerContract
    from reinforcestrategycreator_pipeline.testing.data_source_contract import DataSourceContract
    from reinforcestrategycreator_pipeline.testing.engine_contract import EngineContract
    from reinforcestrategycreator_pipeline.testing.feature_contract import FeatureContract
    from reinforcestrategycreator_pipeline.testing.head_contract import HeadContract
    from reinforcestrategycreator_pipeline.testing.loss_contract import LossContract
    from reinforcestrategycreator_pipeline.testing.market_feature_contract import (
        MarketFeatureContract,
    )
    from reinforcestrategycreator_pipeline.testing.metric_contract import MetricContract
    from reinforcestrategycreator_pipeline.testing.model_contract import ModelContract
    from reinforcestrategycreator_pipeline.testing.reward_contract import RewardContract
    from reinforcestrategycreator_pipeline.testing.schedule_contract import ScheduleContract
    from reinforcestrategycreator_pipeline.testing.strategy_contract import StrategyContract
    from reinforcestrategycreator_pipeline.testing.tracker_contract import TrackerContract

_SUITES = {
    "BrokerContract": "broker_contract",
    "DataSourceContract": "data_source_contract",
    "EngineContract": "engine_contract",
    "FeatureContract": "feature_contract",
    "HeadContract": "head_contract",
    "LossContract": "loss_contract",
    "MarketFeatureContract": "market_feature_contract",
    "MetricContract": "metric_contract",
    "ModelContract": "model_contract",
    "RewardContract": "reward_contract",
    "ScheduleContract": "schedule_contract",
    "StrategyContract": "strategy_contract",
    "TrackerContract": "tracker_contract",
}

__all__ = [
    "BrokerContract",
    "DataSourceContract",
    "EngineContract",
    "FeatureContract",
    "HeadContract",
    "LossContract",
    "MarketFeatureContract",
    "MetricContract",
    "ModelContract",
    "RewardContract",
    "ScheduleContract",
    "StrategyContract",
    "TrackerContract",
]


if not TYPE_CHECKING:  # for which any name would be there

    def __getattr__(name):
        if name not in _SUITES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_SUITES[name]}"), name)
