"""Policies and packages for the tests of deployment."""

from __future__ import annotations

import numpy as np
import pandas as pd
from policy_cases import random_network

from reinforcestrategycreator_pipeline.deployment.brokers.simulated import SimulatedBroker
from reinforcestrategycreator_pipeline.deployment.live_bars import BarRules
from reinforcestrategycreator_pipeline.deployment.package import (
    DataSchema,
    PackageRecord,
    write_package,
)
from reinforcestrategycreator_pipeline.deployment.paper import PaperTrader
from reinforcestrategycreator_pipeline.deployment.replay import paper_trade
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.policies.q_policy import QPolicy
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars

COLUMNS = ("open", "high", "low", "close", "volume")


def frame_of(asset):
    """Return an asset's bars with its features as side data, f0, f1, ..."""
    high, low = np.maximum(asset.open, asset.close), np.minimum(asset.open, asset.close)
    bars = {"open": asset.open, "high": high, "low": low, "close": asset.close}
    side = {f"f{i}": column for i, column in enumerate(asset.features.T)}
    index = pd.to_datetime(asset.times, utc=True)
    return pd.DataFrame({**bars, "volume": 1.0, **side}, index=index)


def trader_of(policy, frame, market, broker=SimulatedBroker):
    """Return a paper trader of bars like these."""
    return PaperTrader(policy, BarRules.of(frame, market.symbol), market, broker)


def on_paper(policy, frame, start, market, broker=SimulatedBroker):
    """Trade recorded bars on paper."""
    return paper_trade(trader_of(policy, frame, market, broker), frame, start)


def package_policy(**changes):
    """Return a small policy."""
    specs = ({"name": "returns", "horizons": [1, 2, 5]},)
    given = {
        "positions": (0.0, 1.0),
        "inputs": Inputs(("return_1", "return_2", "return_5"), 5, specs),
        "scaler": FittedScaler(np.array([0.1, 0.2, 0.3]), np.array([1.0, 0.0, 3.0]), 10.0),
        "network": random_network((5, 4, 2)),
    }
    return QPolicy(**{**given, **changes})


def package_record(**changes):
    """Return what a small package says of its policy."""
    given = {
        "schema": DataSchema.of({"AAPL": make_bars(60)[list(COLUMNS)]}),
        "config_yaml": "seed: 7\n",
        "provenance": {"run_id": "r1", "seed": 7, "spans": {"test": ("2010-01-04", "2013-03-01")}},
        "promotion": {"promoted": False, "checks": [{"name": "Sharpe ratio", "passed": False}]},
        "model_card": "# Card – «µ»\n",
    }
    return PackageRecord(**{**given, **changes})


def written(folder, policy=None, **changes):
    """Write a small package, its record changed, and return its manifest."""
    return write_package(folder, policy or package_policy(), package_record(**changes))
