"""Every member of the DQN family decides in its package as it did in training."""

import numpy as np
import pytest
from policy_family import MEMBERS, random_dqn

from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.errors import NonFiniteError
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.policies.base import load_policy
from reinforcestrategycreator_pipeline.policies.q_policy import QPolicy
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, GRIDS, random_asset

BARS = 250
GRID = GRIDS[3]
SCALER = FittedScaler(np.array([0.1, -0.2, 0.0]), np.array([0.9, 1.1, 1.0]), 5.0)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=MEMBERS)
def settings(request):
    return MEMBERS[request.param]


@pytest.fixture
def asset():
    return random_asset(BARS, seed=3)


def trained(settings, dtype, asset):
    """Return the market of training, and a model that has seen its states."""
    market = ExogenousMarket([asset], GRID, DEAR, scaler=SCALER)
    dqn = random_dqn({**settings, "observation_clip": 1.5}, market.n_inputs, len(GRID), dtype)
    states = market.all_states().reshape(-1, market.n_inputs)
    if dqn.normalizer is not None:  # what it had seen before is of other columns
        dqn.normalizer.count = 0.0
        dqn.observe(states)
    return market, dqn, states


def policy_of(dqn):
    return QPolicy(GRID, Inputs(("a", "b", "c")), SCALER, dqn.policy_network())


def test_a_saved_policy_decides_as_the_model(settings, dtype, asset, tmp_path):
    market, dqn, states = trained(settings, dtype, asset)
    policy_of(dqn).save(tmp_path / "policy")
    policy = load_policy(tmp_path / "policy")
    n = len(GRID)
    q = dqn.predict(states).reshape(BARS, n, n)
    table = policy.choose(asset.features, {})
    # A decision may differ only where two values are equal but for their rounding.
    best, decided = q.max(axis=2), np.take_along_axis(q, table[..., None], axis=2)[..., 0]
    tie = 1e-5 if dtype == "float32" else 1e-13
    assert (best - decided <= tie * np.abs(q).max()).all()
    assert (table == q.argmax(axis=2)).mean() > 0.999
    assert len(np.unique(table)) > 1
    path = follow(policy.table(asset), policy.flat)
    assert path.tolist() == market.greedy_paths(dqn.predict)[0].tolist()
    # Bar by bar, as in production: the very same.
    values = policy.values(asset.features)
    for t in range(0, BARS, 7):
        assert table[t].tolist() == [policy.decide(asset.features[t], i) for i in range(n)]
        assert policy.values(asset.features[t : t + 1]).tobytes() == values[t].tobytes()
    np.testing.assert_allclose(values, q, rtol=0, atol=tie * np.abs(q).max())


def test_the_same_network_gives_the_same_bytes(settings, asset, tmp_path):
    _, dqn, _ = trained(settings, "float32", asset)
    for name in ("a", "b"):
        policy_of(dqn).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_decision_comes_from_values_that_are_not_finite(settings, asset):
    _, dqn, _ = trained(settings, "float32", asset)
    dqn.q_network["weights"]["W0"][...] = 3e38
    policy = policy_of(dqn)
    with pytest.raises(NonFiniteError, match="action values of row 0 are not finite, so no order"):
        policy.decide(asset.features[0], 0)


def test_a_policy_describes_its_network():
    described = random_dqn(MEMBERS["all with c51"]).policy_network().describe()
    for part in ("dueling", "layer normalization", "head c51", "n_atoms 11", "v_min -3"):
        assert part in described
