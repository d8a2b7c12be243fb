"""Contract suites: tests to inherit that state what every component of a family must do.

They need pytest, and some of them hypothesis; no other part of the package imports them.
"""

from __future__ import annotations

from importlib import import_module

_SUITES = {
    "BrokerContract": "broker_contract",
    "DataSourceContract": "data_source_contract",
    "FeatureContract": "feature_contract",
    "HeadContract": "head_contract",
    "LossContract": "loss_contract",
    "MetricContract": "metric_contract",
    "ModelContract": "model_contract",
    "RewardContract": "reward_contract",
    "ScheduleContract": "schedule_contract",
    "StrategyContract": "strategy_contract",
}

__all__ = sorted(_SUITES)


def __getattr__(name: str) -> type:
    if name not in _SUITES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    suite: type = getattr(import_module(f"{__name__}.{_SUITES[name]}"), name)
    return suite
