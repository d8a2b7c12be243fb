import dataclasses

import numpy as np
import pytest
from policy_cases import plain_network, random_network, random_policy

from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.policies.q_policy import QPolicy
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, GRIDS, random_asset

HAND = {
    "W0": np.array([[1.0, -1.0], [2.0, 0.0], [0.0, 3.0]], dtype=np.float32),
    "b0": np.array([0.5, 0.0], dtype=np.float32),
    "W1": np.array([[1.0, 0.0], [-1.0, 2.0]], dtype=np.float32),
    "b1": np.array([0.0, 0.25], dtype=np.float32),
}


def parts(**changes):
    scaler = FittedScaler(np.array([10.0]), np.array([2.0]), 3.0)
    given = {
        "network": plain_network(HAND),
        "positions": (0.0, 1.0),
        "inputs": Inputs(("a",), 1),
    }
    return {**given, "scaler": scaler, **changes}


def test_q_values_by_hand():
    # Raw 14 scales to (14 - 10) / 2 = 2; the previous target is index 1: state (2, 0, 1).
    # Hidden: max(2 + 0 + 0.5, 0) = 2.5, max(-2 + 3, 0) = 1. Q: 2.5 - 1, 2 + 0.25.
    policy = QPolicy(**parts())
    values = policy.values(np.array([[14.0], [1000.0]]))
    assert values[0, 1].tolist() == [1.5, 2.25]
    assert policy.decide(np.array([14.0]), 1) == 1
    # Index 0: state (2, 1, 0). Hidden: 2 + 2 + 0.5, max(-2, 0). Q: 4.5, 0.25.
    assert values[0, 0].tolist() == [4.5, 0.25]
    assert policy.choose(np.array([[14.0]]), {}).tolist() == [[0, 1]]
    # Raw 1000 is clipped to 3.
    assert values[1, 0].tolist() == [5.5, 0.25]


def test_the_flat_exposure_is_where_an_account_starts():
    policy = random_policy(2, (-1.5, -0.5, 0.0, 0.7, 2.0))
    assert (len(policy.positions), policy.flat) == (5, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hidden", [(7,), (64, 64), (256, 128, 64)])
def test_one_bar_has_the_bits_of_the_table(hidden, dtype):
    policy = random_policy(17, (-1.0, 0.0, 1.0), hidden=hidden, dtype=dtype)
    raw = np.random.default_rng(1).normal(size=(300, 17))
    table = policy.choose(raw, {})
    one_by_one = [[policy.decide(row, i) for i in range(3)] for row in raw]
    assert table.tolist() == one_by_one
    assert len(np.unique(table)) == 3
    # Values, too, bit by bit, and whatever else is in the batch.
    q = policy.values(raw)
    for t in (0, 1, 150, 299):
        single = policy.values(raw[t : t + 1])
        assert single.dtype == dtype
        assert single.tobytes() == q[t].tobytes()


def bars_with(raw):
    """Return bars with these features; the table is of all but the last."""
    return dataclasses.replace(random_asset(len(raw), 1), features=raw)


def test_a_long_table_is_worked_through_in_pieces():
    policy = random_policy(2, (0.0, 1.0))
    raw = np.random.default_rng(2).normal(size=(5001, 2))
    table = policy.table(bars_with(raw))
    assert table.shape == (5000, 2)
    for t in (0, 2047, 2048, 4096, 4999):
        assert table[t].tolist() == [policy.decide(raw[t], i) for i in range(2)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_decides_as_the_network_that_was_trained(dtype):
    asset, grid = random_asset(400, seed=3), GRIDS[3]
    scaler = FittedScaler(np.array([0.1, -0.2, 0.0]), np.array([0.9, 1.1, 1.0]), 5.0)
    market = ExogenousMarket([asset], grid, DEAR, scaler=scaler)
    dqn = DQN({"hyperparameters": {"hidden_layers": [32, 16]}, "seed": 5, "dtype": dtype})
    dqn.build((market.n_inputs,), (market.n_positions,))
    policy = QPolicy(grid, Inputs(("a", "b", "c")), scaler, dqn.policy_network())
    q = dqn.predict(market.all_states().reshape(-1, market.n_inputs)).reshape(400, 5, 5)
    # One matrix product and many row products sum in another order.
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(policy.values(asset.features), q, rtol=tolerance, atol=1e-6)
    path = follow(policy.table(asset), policy.flat)
    assert path.tolist() == market.greedy_paths(dqn.predict)[0].tolist()


def test_later_training_does_not_reach_into_a_policy():
    weights = {name: array.copy() for name, array in HAND.items()}
    policy = QPolicy(**parts(network=plain_network(weights)))
    weights["W0"][:] = 0.0
    assert policy.values(np.array([[14.0]]))[0, 1].tolist() == [1.5, 2.25]
    with pytest.raises(ValueError, match="read-only"):
        policy.network.weights["W0"][0, 0] = 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(4))
def test_no_decision_comes_from_a_feature_that_is_not_finite(column, bad):
    policy = random_policy(4, (0.0, 1.0))
    raw = np.zeros((6, 4))
    raw[3, column] = bad
    assert policy.decide(raw[2], 0) in (0, 1)
    with pytest.raises(NonFiniteError, match=f"'f{column}' of row 0 is {bad}, so no order"):
        policy.decide(raw[3], 0)
    with pytest.raises(NonFiniteError, match=f"'f{column}' of row 3 is {bad}, so no order"):
        policy.values(raw)


def test_no_decision_comes_from_a_value_that_is_not_finite():
    # Finite weights whose product overflows: inf * 0 is NaN, which argmax would pick.
    weights = {name: array.copy() for name, array in HAND.items()}
    weights["W0"][0] = 3e38
    policy = QPolicy(**parts(network=plain_network(weights)))
    with pytest.raises(NonFiniteError, match="action values of row 0 are not finite, so no order"):
        policy.decide(np.array([14.0]), 0)
    with pytest.raises(NonFiniteError, match="action values of row 1 are not finite, so no order"):
        policy.values(np.array([[10.0], [14.0]]))


@pytest.mark.parametrize("index", [-1, 2, 1.5, True, float("nan"), "0", None])
def test_a_previous_target_must_be_on_the_grid(index):
    with pytest.raises(ConfigError, match="must be an integer from 0 to 1"):
        QPolicy(**parts()).decide(np.array([14.0]), index)


@pytest.mark.parametrize("index", [1, np.int64(1), np.int32(1)])
def test_numpy_integers_are_integers(index):
    assert QPolicy(**parts()).decide(np.array([14.0]), index) == 1


@pytest.mark.parametrize("shape", [(), (2,), (1, 1)])
def test_features_of_another_shape_are_refused(shape):
    with pytest.raises(ConfigError, match="the policy needs 1 features per bar"):
        QPolicy(**parts()).decide(np.zeros(shape), 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": (1.0, 0.0)}, "increasing list of finite exposures that includes 0"),
        ({"positions": (0.5, 1.0)}, "increasing list of finite exposures that includes 0"),
        ({"inputs": Inputs(("a", "b"))}, "2 features needs a scaler for 2 features. Got 1"),
        ({"network": random_network((4, 2, 2))}, "3 inputs and 2 actions. Got 4 and 2 instead"),
        ({"network": random_network((3, 2, 3))}, "3 inputs and 2 actions. Got 3 and 3 instead"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        QPolicy(**parts(**changes))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((("a", "a"),), "must all be different"),
        ((("a",), -1), "lookback must be an integer >= 0"),
        ((("a",), 1.0), "lookback must be an integer >= 0"),
    ],
)
def test_inputs_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Inputs(*arguments)
