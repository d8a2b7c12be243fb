"""The decisions of an ensemble, by hand and by slow loops."""

import dataclasses
import math
import statistics

import numpy as np
import pytest
from policy_cases import plain_network, random_ensemble, random_network

from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.nn.policy_network import Normalization
from reinforcestrategycreator_pipeline.policies.base import load_policy
from reinforcestrategycreator_pipeline.policies.ensemble_policy import (
    BaselinePolicy,
    EnsemblePolicy,
)
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors, write_tensors

GRID = (-1.0, 0.0, 1.0)
SLOPES = (1.0, 2.0, 6.0)
SD = math.sqrt(7.0)  # of the slopes: deviations -2, -1 and 3 from their mean 3, squares 14 / 2


def slope_network(slope, grid=GRID, dtype=np.float32):
    """Return a network whose value of a target q is slope * q * x, from ReLU(x) and ReLU(-x)."""
    up = slope * np.array(grid)
    return plain_network(
        {
            "W0": np.array([[1.0, -1.0]], dtype),
            "b0": np.zeros(2, dtype),
            "W1": np.array([up, -up], dtype),
            "b1": np.zeros(len(grid), dtype),
        }
    )


def by_hand(**changes):
    """Return three agents that disagree on a slope; a move of 1 costs 0.5, 1 is 100 bps."""
    given = {
        "positions": GRID,
        "inputs": Inputs(("a",), 1),
        "scaler": FittedScaler(np.array([10.0]), np.array([2.0]), 3.0),
        "networks": tuple(slope_network(s) for s in SLOPES),
        "cost": 0.5 * np.abs(np.subtract.outer(GRID, GRID)),
        "unit_bps": 100.0,
        "baseline": 1,
        "kappa": 1.0,
        "relevance": np.array([1.0]),
    }
    return EnsemblePolicy(**{**given, **changes})


def choices(policy, raw):
    return policy.choose(np.array([[raw]]), {})[0].tolist()


def test_mean_and_spread_by_hand():
    # Raw 12 scales to (12 - 10) / 2 = 1, where the agents' values are -s, 0 and s for slope s.
    policy = by_hand()
    assert policy.values(np.array([[12.0]]))[0].tolist() == [[-1, 0, 1], [-2, 0, 2], [-6, 0, 6]]
    mean, sd = policy.advantages(np.array([[12.0]]))
    assert mean[0].tolist() == [[0.0, 2.5, 5.0], [-3.5, 0.0, 2.5], [-7.0, -3.5, 0.0]]
    expected = [[0.0, SD, 2 * SD], [SD, 0.0, SD], [2 * SD, SD, 0.0]]
    np.testing.assert_allclose(sd[0], expected, rtol=1e-15)
    # Raw 1000 is clipped to 3.
    np.testing.assert_allclose(policy.advantages(np.array([[1000.0]]))[1][0], 3 * sd[0], rtol=1e-15)


@pytest.mark.parametrize(
    ("kappa", "raw", "expected"),
    [
        # From -1 to 0, towards the baseline: 2.5 without a doubt. On to 1: 5 - 2 sd = -0.29.
        # From 0 to 1: 2.5 - sd = -0.15, so it stays. From 1 everything else is worse.
        (1.0, 12.0, [1, 1, 2]),
        # 2.5 - 0.9 sd = 0.12: now it is worth it; but from -1, 5 - 1.8 sd = 0.24 is below 2.5.
        (0.9, 12.0, [1, 2, 2]),
        # From -1, 5 - 0.9 sd = 2.62 is above 2.5.
        (0.45, 12.0, [2, 2, 2]),
        (0.0, 12.0, [2, 2, 2]),
        # x = -0.5: from 1 to 0: 1.5 - 0.5 = 1; on to -1: 3 - 1 = 2, less sd -0.65. From 0 to -1:
        # 1.5 - 0.5 - sd / 2 = -0.32.
        (1.0, 9.0, [0, 1, 1]),
        # 2 - 0.3 sd = 1.21 is above 1.
        (0.3, 9.0, [0, 0, 0]),
        # x = 0.1: 0.3 - 0.5 is not worth the cost, whatever kappa is.
        (0.0, 10.2, [0, 1, 2]),
    ],
)
def test_decisions_by_hand(kappa, raw, expected):
    policy = by_hand(kappa=kappa)
    assert choices(policy, raw) == expected
    assert [policy.decide(np.array([raw]), held) for held in range(3)] == expected


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        # kappa 1 and x = 1, as above: what leads towards the baseline is not doubted.
        (0, [0, 1, 2]),  # from -1 upwards 2.5 - sd and 5 - 2 sd, both below 0
        (1, [1, 1, 2]),
        (2, [2, 2, 2]),  # 5 and 2.5, undoubted
    ],
)
def test_moves_towards_the_baseline_are_not_doubted(baseline, expected):
    assert choices(by_hand(baseline=baseline), 12.0) == expected


def test_confidence_by_hand():
    sure = by_hand().confidence(np.array([[12.0]]), {})
    assert sure.advantage_bps.tolist() == [[250.0, 0.0, 0.0]]
    np.testing.assert_allclose(sure.spread_bps, [[100 * SD, 0.0, 0.0]], rtol=1e-15)
    sure = by_hand(kappa=0.45).confidence_of(np.array([12.0]), 0)
    assert sure.advantage_bps == 500.0
    np.testing.assert_allclose(sure.spread_bps, 200 * SD, rtol=1e-15)


def test_the_lowest_index_wins_ties():
    free = np.zeros((3, 3))
    assert choices(by_hand(cost=free), 10.0) == [0, 0, 0]  # all values are 0
    # Two targets tie above the third: equal rows of the last layer.
    w = {"W0": [[1.0, -1.0]], "b0": [0.0, 0.0], "W1": [[-1, 2, 2], [1, 0, 0]], "b1": [0, 0, 0]}
    twins = plain_network({name: np.array(x, np.float32) for name, x in w.items()})
    assert choices(by_hand(cost=free, networks=(twins, twins)), 12.0) == [1, 1, 1]
    # Staying ties with moving at a cost of exactly the advantage: the lower index wins.
    cost = 3.0 * (1.0 - np.eye(3))
    assert choices(by_hand(cost=cost, kappa=0.0), 12.0) == [2, 1, 2]


@pytest.mark.parametrize("kappa", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("baseline", range(4))
def test_equals_slow_loops(kappa, baseline):
    grid = (-1.0, 0.0, 0.5, 2.0)
    policy = random_ensemble(5, grid, kappa=kappa, baseline=baseline, agents=5)
    raw = np.random.default_rng(4).normal(size=(60, 5))
    sure, table = policy.confidence(raw, {}), policy.choose(raw, {})
    moved = 0
    for t, row in enumerate(raw):
        x = []
        for value, m, s in zip(row, policy.scaler.center, policy.scaler.scale, strict=True):
            x.append(max(-2.5, min(2.5, (value - m) / s)) if s else 0.0)
        u = [network.values([x])[0].tolist() for network in policy.networks]
        for held in range(4):
            advantages, spreads, scores = [], [], []
            for q in range(4):
                each = [one[q] - one[held] for one in u]
                advantages.append(statistics.fmean(each) - float(policy.cost[held, q]))
                spreads.append(statistics.stdev(each))
                # Between the old target and the baseline, walking from one to the other.
                step = 1 if baseline >= held else -1
                doubted = q not in range(held, baseline + step, step)
                scores.append(advantages[-1] - kappa * spreads[-1] * doubted)
            best = max(range(4), key=lambda q: scores[q])
            assert table[t, held] == best
            moved += best != held
            assert sure.advantage_bps[t, held] == pytest.approx(12.5 * advantages[best], abs=1e-12)
            assert sure.spread_bps[t, held] == pytest.approx(12.5 * spreads[best], abs=1e-12)
    assert moved > 20


def layouts(raw):
    """Yield tables with the same numbers that lie differently in memory."""
    yield "rows", raw.copy()
    yield "columns", np.asfortranarray(raw)
    wide = np.full((2 * len(raw), 3 * raw.shape[1]), np.nan)
    wide[::2, ::3] = raw
    yield "every third of every other row", wide[::2, ::3]
    yield "backwards", raw[::-1, ::-1].copy()[::-1, ::-1]
    shifted = np.zeros(raw.nbytes + 4, np.uint8)[4:].view(np.float64)  # not aligned
    shifted[:] = raw.ravel()
    yield "not aligned", shifted.reshape(raw.shape)
    yield "float32", raw.astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [(), ("dueling",), ("layer_norm",), ("dueling", "layer_norm")])
@pytest.mark.parametrize("hidden", [(7,), (32, 32), (130, 17)])
def test_a_row_alone_has_the_bits_of_the_row_in_a_batch(hidden, options, dtype):
    policy = random_ensemble(9, GRID, hidden=hidden, options=options, dtype=dtype, agents=3)
    raw = np.random.default_rng(5).normal(size=(70, 9)).astype(np.float32).astype(np.float64)
    alone = [policy.values(row[None]).tobytes() for row in raw]
    sure_alone = [policy.confidence(row[None], {}) for row in raw]
    chosen_alone = np.concatenate([policy.choose(row[None], {}) for row in raw])
    assert len(np.unique(chosen_alone)) == 3
    for name, batch in layouts(raw):
        for rows in (1, 2, 33, 70):
            values = policy.values(batch[:rows])
            assert [v.tobytes() for v in values] == alone[:rows], name
            sure = policy.confidence(batch[:rows], {})
            for whole, parts in zip(sure, zip(*sure_alone[:rows], strict=True), strict=True):
                assert whole.tobytes() == np.concatenate(parts).tobytes(), name
            assert policy.choose(batch[:rows], {}).tolist() == chosen_alone[:rows].tolist(), name


def test_weights_are_those_of_the_agents_and_stay():
    weights = {name: array.copy() for name, array in slope_network(2.0).weights.items()}
    cost, relevance = np.zeros((3, 3)), np.array([0.5])
    networks = (slope_network(1.0), plain_network(weights))
    policy = by_hand(networks=networks, cost=cost, relevance=relevance)
    for array in (*weights.values(), cost, relevance):
        array[...] = 7.0
    assert policy.values(np.array([[12.0]]))[0].tolist() == [[-1, 0, 1], [-2, 0, 2]]
    assert (policy.cost.max(), policy.relevance.tolist()) == (0.0, [0.5])
    for array in (policy.cost, policy.relevance):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_decision_comes_from_a_number_that_is_not_finite(bad):
    policy = by_hand()
    with pytest.raises(NonFiniteError, match=f"'a' of row 1 is {bad}, so no order is placed"):
        policy.choose(np.array([[12.0], [bad]]), {})
    with pytest.raises(NonFiniteError, match="'a' of row 0"):
        policy.confidence_of([bad], 0)
    # Finite weights whose products overflow.
    large = tuple(slope_network(s) for s in (1.0, 3e38))
    with pytest.raises(NonFiniteError, match="values of row 1 are not finite, so no order"):
        by_hand(networks=large).choose(np.array([[10.0], [16.0]]), {})
    # Finite values whose squares overflow: 0 * inf is NaN, which argmax would pick.
    large = tuple(slope_network(s, dtype=np.float64) for s in (1.0, 1e200))
    policy = by_hand(networks=large)
    assert np.isfinite(policy.values(np.array([[10.0], [16.0]]))).all()
    for refused in (policy.choose, policy.confidence):
        with pytest.raises(NonFiniteError, match="values of row 1 are not finite, so no order"):
            refused(np.array([[10.0], [16.0]]), {})


def two(**changes):
    return (slope_network(1.0), dataclasses.replace(slope_network(2.0), **changes))


def normalized():
    unit = Normalization(np.zeros(1), np.ones(1), 5.0)
    return tuple(dataclasses.replace(slope_network(s), normalization=unit) for s in SLOPES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scaler": FittedScaler(np.zeros(2), np.ones(2), None)}, "needs a scaler for 1 features"),
        ({"networks": (slope_network(1.0),)}, "at least 2 networks. Got 1"),
        ({"networks": (random_network((2, 4, 3)),) * 2}, "1 inputs and one output .* Got 2, 1,"),
        ({"networks": (random_network((1, 4, 2)),) * 2}, "each of 3 actions. Got 1, 1, and 2"),
        ({"networks": (slope_network(1.0), random_network((1, 4, 3)))}, "must be alike"),
        ({"networks": (slope_network(1), slope_network(1, dtype=np.float64))}, "must be alike"),
        ({"networks": two(head_settings={"huber_delta": 2.0})}, "must be alike"),
        ({"networks": two(masked=True)}, "must be alike"),
        ({"networks": (two(masked=True)[1],) * 2}, "nor action masks"),
        ({"networks": normalized()}, "neither normalized observations"),
        ({"baseline": 3}, r"baseline parameter of EnsemblePolicy .* in \[0, 2\]. Got 3"),
        ({"baseline": -1}, r"baseline .* Got -1"),
        ({"baseline": 1.0}, r"baseline .* must be an integer .* Got 1.0"),
        ({"baseline": True}, r"baseline .* must be an integer .* Got True"),
        ({"kappa": -0.1}, r"kappa .* >= 0. Got -0.1"),
        ({"kappa": math.nan}, r"kappa .* finite .* Got nan"),
        ({"kappa": math.inf}, r"kappa .* finite .* Got inf"),
        ({"kappa": "1"}, r"kappa .* Got '1'"),
        ({"unit_bps": 0.0}, r"unit_bps .* > 0. Got 0.0"),
        ({"unit_bps": math.inf}, r"unit_bps .* finite .* Got inf"),
        ({"cost": np.zeros((2, 3))}, r"cost .* shape \(3, 3\). Got float64 of shape \(2, 3\)"),
        ({"cost": np.zeros((3, 3), np.float32)}, r"cost .* finite float64 .* Got float32"),
        ({"cost": np.diag([0, 0, np.nan])}, "cost of this ensemble must be finite"),
        ({"cost": np.eye(3)}, "cost of an ensemble must be 0 for staying"),
        ({"relevance": np.ones(2)}, r"relevance .* shape \(1,\). Got float64 of shape \(2,\)"),
        ({"relevance": np.array([np.nan])}, "relevance of this ensemble must be finite"),
        ({"relevance": np.array([1.5])}, r"relevance .* must be in \[0, 1\]"),
        ({"relevance": np.array([-0.5])}, r"relevance .* must be in \[0, 1\]"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        by_hand(**changes)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_refused():
    with pytest.raises(ConfigError, match="tensor W1 must be finite"):
        slope_network(math.nan)


def test_saved_and_loaded_it_has_the_same_bits(tmp_path):
    policy = random_ensemble(6, GRID, agents=12, relevance=np.linspace(0.0, 1.0, 6))
    policy.save(tmp_path / "policy")
    again = load_policy(tmp_path / "policy")
    raw = np.random.default_rng(6).normal(size=(40, 6))
    assert again.values(raw).tobytes() == policy.values(raw).tobytes()
    assert again.choose(raw, {}).tolist() == policy.choose(raw, {}).tolist()
    for a, b in zip(again.confidence(raw, {}), policy.confidence(raw, {}), strict=True):
        assert a.tobytes() == b.tobytes()
    assert again.relevance.tolist() == policy.relevance.tolist()
    assert again.describe() == policy.describe()


def damaged(tmp_path, change):
    """Load a policy of four agents whose file was changed, and sealed again."""
    random_ensemble(3, GRID).save(tmp_path / "policy")
    tensors, header = read_tensors(tmp_path / "policy")
    tensors = {name: array.copy() for name, array in tensors.items()}
    change(tensors, header)
    write_tensors(tmp_path / "policy", tensors, header)
    return load_policy(tmp_path / "policy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, h: t.pop("3.W0"), "agent 3: a policy network of this kind lacks the .* 'W0'"),
        (lambda t, h: h.update(agents=17), "agent 4: .* lacks the tensor 'W0'"),
        (lambda t, h: h.update(agents=3), "an ensemble of 3 agents has no tensor '3.W0'"),
        (lambda t, h: h.update(agents=0), "an ensemble of 0 agents has no tensor"),
        (lambda t, h: h.update(agents=-4), "an ensemble of 0 agents has no tensor"),
        (lambda t, h: h.update(agents="4"), "cannot be interpreted as an integer"),
        (lambda t, h: h.update(agents=4.0), "cannot be interpreted as an integer"),
        (lambda t, h: h.pop("agents"), "the policy lacks 'agents'"),
        (lambda t, h: h.pop("kappa"), "the policy lacks 'kappa'"),
        (lambda t, h: h.pop("head"), "agent 0: a policy network's header lacks 'head'"),
        (lambda t, h: h.update(kappa=-1), "kappa parameter of EnsemblePolicy must be .* Got -1"),
        (lambda t, h: h.update(kappa=None), "kappa parameter of EnsemblePolicy .* Got None"),
        (lambda t, h: h.update(baseline=3), "baseline parameter of EnsemblePolicy .* Got 3"),
        (lambda t, h: h.update(unit_bps=-1.0), "unit_bps parameter of EnsemblePolicy .* Got -1.0"),
        (lambda t, h: h["network"].update(n_inputs=4), r"agent 0: .* W0 must have the shape \(4,"),
        (lambda t, h: h["inputs"].update(names=["a", "b"]), "needs a scaler for 2 features"),
        (lambda t, h: t.pop("cost"), "the policy lacks 'cost'"),
        (lambda t, h: t.update(cost=np.zeros((2, 2))), r"cost .* of shape \(3, 3\). Got .* \(2, 2"),
        (lambda t, h: t.update(cost=np.zeros((3, 3), np.int64)), "cost .* Got int64"),
        (lambda t, h: t.pop("relevance"), "the policy lacks 'relevance'"),
        (lambda t, h: t["relevance"].fill(np.nan), "relevance of this ensemble must be finite"),
        (lambda t, h: t["2.b1"].fill(np.inf), "agent 2: a policy's tensor b1 must be finite"),
        (lambda t, h: t.update({"1.W0": t["1.W0"].T.copy()}), "agent 1: .* W0 must have the shape"),
        (lambda t, h: t.update(other=np.zeros(1)), "an ensemble of 4 agents has no tensor 'other'"),
        (lambda t, h: t.update({"0.W9": np.zeros(1)}), "agent 0: .* has no tensor 'W9'"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_one_line(tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        damaged(tmp_path, change)
    assert "\n" not in str(caught.value)


def test_unchanged_it_is_not_refused(tmp_path):
    assert len(damaged(tmp_path, lambda t, h: None).networks) == 4


def test_the_description_names_the_features_that_matter():
    relevance = np.array([0.2, 0.0, 1.0, 0.5, 0.1])
    text = random_ensemble(5, GRID, relevance=relevance).describe()
    assert text.startswith("ensemble of 4 action-value networks: 5 inputs, hidden layers 16, 8, ")
    assert text.endswith("reads 4 of 5 features (f2, f3, f0, and 1 more); baseline 0, kappa 0.5")
    baseline = BaselinePolicy(GRID, Inputs(("a", "b")), 2)
    assert baseline.describe() == (
        "constant exposure of 1, the baseline: the agents of the ensemble agree on the effect of "
        "none of the 2 features"
    )
    assert baseline.choose(np.zeros((2, 2)), {}).tolist() == [[2, 2, 2]] * 2
