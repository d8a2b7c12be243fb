"""The deployment stage compares paper trading with the backtest in all that the policy saw."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from deployment_cases import COLUMNS, package_policy, written
from policy_cases import random_network

from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.deployment.package import DataSchema
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import ScalerConfig
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.paper_replay import replay
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars
from reinforcestrategycreator_pipeline.testing.trading_cases import asset_of

START = 60


@pytest.fixture
def job(tmp_path):
    """Return a package, its run's configuration and spans, and the backtest of its test bars."""
    frame, config = make_bars(160)[list(COLUMNS)], RunConfig()
    spec = FeatureSpec("returns", {"horizons": (1, 2, 5)})
    table = compute_features(frame, [spec])
    policy = package_policy(
        network=random_network((5, 8, 2)),
        inputs=Inputs(table.names, 5, (spec.to_mapping(),)),
        scaler=ScalerConfig().fit(table.values[5:START]),
    )
    written(tmp_path / "package", policy, schema=DataSchema.of({"A": frame}))
    test, rows = frame.iloc[START:], table.values[START:]
    asset = asset_of(test["open"], test["close"], test.index.as_unit("ns").asi8, rows)
    targets = np.array(policy.positions)[follow(policy.table(asset), policy.flat)]
    result = run_backtest("x", asset, targets, config.trading.costs, 1000.0)
    features = pd.DataFrame(table.values[5:], frame.index[5:], list(table.names))
    spans = SimpleNamespace(
        features=SimpleNamespace(frames={"A": features}), data=SimpleNamespace(bars={"A": frame})
    )
    return tmp_path / "package", config, spans, {"A": result}


def test_what_is_equal_passes_with_its_gaps(job):
    (found,) = replay(*job).values()
    assert found["largest_relative_gap"] < 1e-12
    assert found["largest_feature_gap"] == 0.0
    assert found["fills"] > 5


def test_a_feature_that_differs_is_named_with_its_bar_though_equity_is_equal(job):
    features = job[2].features.frames["A"]
    features.iloc[START - 5 + 40, 1] += 1e-6
    with pytest.raises(RunError, match=r"A: .* differ from bar 40 \(.* the feature 'log_return_2'"):
        replay(*job)


def test_a_decision_that_differs_is_named_with_its_bar(job):
    package, config, spans, results = job
    exposure = results["A"].exposure.copy()
    exposure[30] = 1.0 - exposure[30]
    results = {"A": dataclasses.replace(results["A"], exposure=exposure)}
    with pytest.raises(
        RunError, match=r"A: .* differ from bar 30 \(.* on: the target is [01].0 on"
    ):
        replay(package, config, spans, results)
