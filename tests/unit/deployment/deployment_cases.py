"""Policies and packages for the tests of deployment."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.deployment.package import (
    DataSchema,
    PackageRecord,
    write_package,
)
from reinforcestrategycreator_pipeline.deployment.policy import Policy
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec
from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork

COLUMNS = ("open", "high", "low", "close", "volume")


def random_weights(sizes, seed=0, dtype=np.float32):
    """Return weights so large that decisions change from bar to bar."""
    rng = np.random.default_rng(seed)
    weights = {}
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        weights[f"W{i}"] = rng.normal(0.0, 1.5, (fan_in, fan_out)).astype(dtype)
        weights[f"b{i}"] = rng.normal(0.0, 0.5, fan_out).astype(dtype)
    return weights


def plain_network(weights):
    """Return the network of hidden ReLU layers that has these weights."""
    last = len(weights) // 2 - 1
    shapes = [weights[f"W{i}"].shape for i in range(last + 1)]
    hidden = tuple(fan_out for _, fan_out in shapes[:-1])
    spec = NetworkSpec(shapes[0][0], hidden, shapes[-1][1])
    return PolicyNetwork(spec, weights, "expected", {"huber_delta": 1.0})


def random_network(sizes, seed=0, dtype=np.float32):
    return plain_network(random_weights(sizes, seed, dtype))


def random_policy(n_features, positions, seed=0, hidden=(16, 8), dtype=np.float32, names=None):
    """Return a policy that decides erratically but reproducibly, on columns of the bars."""
    rng = np.random.default_rng(seed + 1000)
    n = len(positions)
    names = names or tuple(f"f{i}" for i in range(n_features))
    return Policy(
        network=random_network((n_features + n, *hidden, n), seed, dtype),
        positions=positions,
        feature_names=names,
        lookback=0,
        scaler=FittedScaler(
            rng.normal(0.0, 0.1, n_features), rng.uniform(0.5, 2.0, n_features), 10.0
        ),
        feature_specs=({"name": "column", "columns": list(names)},),
    )


def frame_of(asset):
    """Return an asset's bars with its features as side data, f0, f1, ..."""
    bars = {"open": asset.open, "high": asset.open, "low": asset.open, "close": asset.close}
    side = {f"f{i}": column for i, column in enumerate(asset.features.T)}
    index = pd.to_datetime((asset.seconds * 1e9).astype(np.int64), utc=True)
    return pd.DataFrame({**bars, "volume": 1.0, **side}, index=index)


def package_policy(**changes):
    """Return a small policy."""
    given = {
        "network": random_network((5, 4, 2)),
        "positions": (0.0, 1.0),
        "feature_specs": ({"name": "returns", "horizons": [1, 2, 5]},),
        "feature_names": ("return_1", "return_2", "return_5"),
        "lookback": 5,
        "scaler": FittedScaler(np.array([0.1, 0.2, 0.3]), np.array([1.0, 0.0, 3.0]), 10.0),
    }
    return Policy(**{**given, **changes})


def package_record(**changes):
    """Return what a small package says of its policy."""
    given = {
        "schema": DataSchema(COLUMNS, (86_400.0, 86_400.0)),
        "config_yaml": "seed: 7\n",
        "provenance": {"run_id": "r1", "seed": 7, "spans": {"test": ("2010-01-04", "2013-03-01")}},
        "promotion": {"promoted": False, "checks": [{"name": "Sharpe ratio", "passed": False}]},
        "model_card": "# Card – «µ»\n",
    }
    return PackageRecord(**{**given, **changes})


def written(folder, policy=None, **changes):
    """Write a small package, its record changed, and return its manifest."""
    return write_package(folder, policy or package_policy(), package_record(**changes))
