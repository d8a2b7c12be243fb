"""Every member of the DQN family decides in its package as it did in training."""

import numpy as np
import pytest
from deployment_cases import written
from policy_family import MEMBERS, random_dqn

from reinforcestrategycreator_pipeline.deployment.policy import Policy
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.errors import NonFiniteError
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
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
    features = SCALER.transform(asset.features)
    scaled = AssetBars("A", asset.seconds, asset.open, asset.close, features)
    market = ExogenousMarket([scaled], GRID, DEAR)
    dqn = random_dqn({**settings, "observation_clip": 1.5}, market.n_inputs, len(GRID), dtype)
    states = market.all_states().reshape(-1, market.n_inputs)
    if dqn.normalizer is not None:  # what it had seen before is of other columns
        dqn.normalizer.count = 0.0
        dqn.observe(states)
    return market, dqn, states


def test_a_package_decides_as_the_model(settings, dtype, asset, tmp_path):
    market, dqn, states = trained(settings, dtype, asset)
    written(
        tmp_path / "package",
        network=dqn.policy_network(),
        positions=GRID,
        feature_names=("a", "b", "c"),
        scaler=SCALER.to_dict(),
    )
    policy = Policy.load(tmp_path / "package")
    n = len(GRID)
    q = dqn.predict(states).reshape(BARS, n, n)
    table = policy.decision_table(asset.features)
    # A decision may differ only where two values are equal but for their rounding.
    best, decided = q.max(axis=2), np.take_along_axis(q, table[..., None], axis=2)[..., 0]
    tie = 1e-5 if dtype == "float32" else 1e-13
    assert (best - decided <= tie * np.abs(q).max()).all()
    assert (table == q.argmax(axis=2)).mean() > 0.999
    assert len(np.unique(table)) > 1
    path = follow(table[:-1], policy.flat)
    assert path.tolist() == market.greedy_paths(dqn.predict)[0].tolist()
    # Bar by bar, as in production: the very same.
    for t in range(0, BARS, 7):
        assert table[t].tolist() == [policy.decide(asset.features[t], i) for i in range(n)]
    values = policy._values(asset.features, policy._one_hot)
    for t in (0, 100, BARS - 1):
        assert policy.q_values(asset.features[t], 2).tobytes() == values[t, 2].tobytes()
    np.testing.assert_allclose(values, q, rtol=0, atol=tie * np.abs(q).max())


def test_the_same_network_gives_the_same_bytes(settings, asset, tmp_path):
    _, dqn, _ = trained(settings, "float32", asset)
    for name in ("a", "b"):
        written(
            tmp_path / name,
            network=dqn.policy_network(),
            positions=GRID,
            feature_names=("a", "b", "c"),
            scaler=SCALER.to_dict(),
        )
    a, b = ((tmp_path / name / "policy.safetensors").read_bytes() for name in "ab")
    assert a == b


def test_no_decision_comes_from_values_that_are_not_finite(settings, asset):
    _, dqn, _ = trained(settings, "float32", asset)
    dqn.q_network["weights"]["W0"][...] = 3e38
    policy = Policy(dqn.policy_network(), GRID, ("a", "b", "c"), 0, SCALER)
    with pytest.raises(NonFiniteError, match="action values of row 0 are not finite; no order"):
        policy.decide(asset.features[0], 0)


def test_a_policy_describes_its_network():
    described = random_dqn(MEMBERS["all with c51"]).policy_network().describe()
    for part in ("dueling", "layer normalisation", "head c51", "n_atoms 11", "v_min -3"):
        assert part in described
