"""Small policies of networks for the tests."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec
from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork
from reinforcestrategycreator_pipeline.policies.base import Confidence, Policy
from reinforcestrategycreator_pipeline.policies.ensemble_policy import EnsemblePolicy
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


@dataclass(frozen=True, eq=False)
class SureSignPolicy(Policy):
    """Holds the last target of the grid where the first feature is > 0, else none.

    A move is as sure as the first feature is large, in bps; the second is its spread.
    """

    def choose(self, features, bars):
        target = np.where(features[:, 0] > 0, len(self.positions) - 1, self.flat)
        return np.repeat(target[:, None], len(self.positions), axis=1)

    def confidence(self, features, bars):
        moves = self.choose(features, bars) != np.arange(len(self.positions))
        return Confidence(*(np.where(moves, np.abs(x)[:, None], 0.0) for x in features.T[:2]))


def sure_policy(positions=(0.0, 1.0), names=("f0", "f1", "f2")):
    """Return a policy that says how sure it is, on columns of the bars."""
    specs = ({"name": "column", "columns": list(names)},)
    return SureSignPolicy(positions, Inputs(tuple(names), 0, specs))


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


def random_ensemble(
    n_features, positions, seed=0, agents=4, hidden=(16, 8), dtype=np.float32, options=(), **changes
):
    """Return an ensemble that decides erratically but reproducibly.

    One feature is constant, and `options` are switches of the networks: dueling, layer_norm.
    """
    rng = np.random.default_rng(seed + 2000)
    n = len(positions)
    spec = NetworkSpec(n_features, hidden, n, **dict.fromkeys(options, True))
    networks = []
    for _ in range(agents):
        weights = {
            name: rng.normal(1.0 if name.startswith("gain") else 0.0, 0.7, shape).astype(dtype)
            for name, shape in spec.effective_shapes.items()
        }
        networks.append(PolicyNetwork(spec, weights, "expected", {"huber_delta": 1.0}))
    scale = rng.uniform(0.5, 2.0, n_features)
    scale[-1] = 0.0
    names = tuple(f"f{i}" for i in range(n_features))
    given = {
        "inputs": Inputs(names, 0, ({"name": "column", "columns": list(names)},)),
        "scaler": FittedScaler(rng.normal(0.0, 0.1, n_features), scale, 2.5),
        "networks": tuple(networks),
        "cost": 0.1 * np.abs(np.subtract.outer(positions, positions)),
        "unit_bps": 12.5,
        "baseline": positions.index(0.0),
        "kappa": 0.5,
        "relevance": np.ones(n_features),
    }
    return EnsemblePolicy(positions=positions, **{**given, **changes})
