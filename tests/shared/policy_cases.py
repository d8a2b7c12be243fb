"""Small policies of networks for the tests."""

from __future__ import annotations

import itertools

import numpy as np

from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec
from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork
from reinforcestrategycreator_pipeline.policies.q_policy import QPolicy


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
    names = tuple(names or (f"f{i}" for i in range(n_features)))
    return QPolicy(
        positions=positions,
        inputs=Inputs(names, 0, ({"name": "column", "columns": list(names)},)),
        scaler=FittedScaler(
            rng.normal(0.0, 0.1, n_features), rng.uniform(0.5, 2.0, n_features), 10.0
        ),
        network=random_network((n_features + n, *hidden, n), seed, dtype),
    )
