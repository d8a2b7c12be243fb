"""Every registered strategy keeps the contract; so do ones of a user's, and planted faults show."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from policy_cases import SureSignPolicy, sure_policy

from reinforcestrategycreator_pipeline.errors import CheckpointError, NonFiniteError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQNHyperparameters
from reinforcestrategycreator_pipeline.policies.base import Confidence, Policy, load_policy
from reinforcestrategycreator_pipeline.policies.baselines import (
    BuyAndHold,
    Constant,
    Flat,
    MovingAverageCrossover,
)
from reinforcestrategycreator_pipeline.policies.catalog import STRATEGIES
from reinforcestrategycreator_pipeline.policies.dqn import DQNStrategy
from reinforcestrategycreator_pipeline.policies.dqn_ensemble import DQNEnsemble
from reinforcestrategycreator_pipeline.policies.dqn_training import TrainingConfig
from reinforcestrategycreator_pipeline.policies.ensemble_training import EnsembleTraining
from reinforcestrategycreator_pipeline.policies.follow_signal import FollowSignal
from reinforcestrategycreator_pipeline.policies.linear import Linear
from reinforcestrategycreator_pipeline.policies.oracle import Oracle
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors, write_tensors
from reinforcestrategycreator_pipeline.testing.strategy_contract import (
    StrategyContract,
    asset_with_history,
    make_span,
)

SMALL = DQNHyperparameters(
    hidden_layers=(8,), batch_size=8, buffer_size=500, learning_starts=50, log_interval=5
)
CASES = {
    "dqn": DQNStrategy(
        hyperparameters=SMALL,
        training=TrainingConfig(steps=30, trajectories=8, validation_interval=10),
    ),
    "dqn_ensemble": DQNEnsemble(
        EnsembleTraining(
            agents=3, hidden_layers=(8,), batch_size=16, value_interval=20, caution=0.0, steps=60
        )
    ),
    "linear": Linear(horizon=2),
    "constant": Constant(-0.5),
    "buy_and_hold": BuyAndHold(),
    "flat": Flat(),
    "moving_average_crossover": MovingAverageCrossover(3, 10),
    "follow_signal": FollowSignal("f1", 0.5),
    "oracle": Oracle(),
}


@dataclass(frozen=True, eq=False)
class SignPolicy(Policy):
    """Long where a weighted sum of the features is positive."""

    weights: np.ndarray

    def choose(self, features, bars):
        long = (features * self.weights).sum(axis=1) > 0
        target = np.where(long, len(self.positions) - 1, self.flat)
        return np.repeat(target[:, None], len(self.positions), axis=1)


@dataclass(frozen=True)
class Signs:
    """A user's own strategy: weights are the features' correlation with the next return."""

    def fit(self, train, validation, work):
        x = np.concatenate([a.features[:-1] for a in train.assets])
        y = np.concatenate([np.diff(np.log(a.close)) for a in train.assets])
        return SignPolicy(train.rules.positions, train.inputs, x.T @ y)


@dataclass(frozen=True)
class SureSigns:
    """A strategy whose policy says how sure it is."""

    def fit(self, train, validation, work):
        return SureSignPolicy(train.rules.positions, train.inputs)


class TestShipped(StrategyContract):
    @pytest.fixture(params=sorted(CASES))
    def strategy(self, request):
        return CASES[request.param]


class TestOwn(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return Signs()


class TestSure(StrategyContract):
    @pytest.fixture
    def strategy(self):
        return SureSigns()


class TestConfidence:
    policy = sure_policy()
    asset = replace(
        asset_with_history(5, 1),
        # Goes long, stays, goes flat, goes long, and the last bar.
        features=np.array([[3.0, 2, 0], [5.0, 1, 0], [-7.0, 4, 0], [1.0, 0.5, 0], [9.0, 9, 0]]),
    )

    def test_of_every_previous_target(self):
        sure = self.policy.confidence_table(self.asset)
        assert sure.advantage_bps.tolist() == [[3, 0], [5, 0], [0, 7], [1, 0]]
        assert sure.spread_bps.tolist() == [[2, 0], [1, 0], [0, 4], [0.5, 0]]

    def test_along_the_targets_from_flat(self):
        assert self.policy.targets(self.asset).tolist() == [1, 1, 0, 1]
        sure = self.policy.confidence_of_targets(self.asset)
        assert sure.advantage_bps.tolist() == [3, 0, 7, 1]
        assert sure.spread_bps.tolist() == [2, 0, 4, 0.5]

    def test_of_one_bar(self):
        assert self.policy.confidence_of([-7.0, 4.0, 0.0], 1) == (7, 4)
        assert self.policy.confidence_of([-7.0, 4.0, 0.0], 0) == (0, 0)

    def test_over_more_bars_than_are_computed_at_once(self):
        long = asset_with_history(5000, 1)
        sure = self.policy.confidence_table(long)
        moves = self.policy.table(long) != [0, 1]
        assert (sure.advantage_bps == moves * np.abs(long.features[:-1, :1])).all()

    def test_a_policy_need_not_say(self):
        silent = SignPolicy((0.0, 1.0), make_span().inputs, np.ones(3))
        assert silent.confidence_table(self.asset) is None
        assert silent.confidence_of_targets(self.asset) is None
        assert silent.confidence_of([1.0, 2.0, 3.0], 0) is None

    def test_no_number_is_made_of_a_nan(self):
        with pytest.raises(NonFiniteError, match="no order"):
            self.policy.confidence_of([np.nan, 0.0, 0.0], 0)


def test_every_registered_strategy_is_in_the_suite():
    shipped = {name for name in STRATEGIES if type(STRATEGIES.get(name)) is type}
    assert shipped == set(CASES), "a new strategy: add it to CASES here"


class Peeking(SignPolicy):
    """The planted fault: it looks at the next close."""

    def choose(self, features, bars):
        rises = np.append(np.diff(bars["close"][-len(features) :]) > 0, False)
        return np.repeat(np.where(rises, 1, 0)[:, None], len(self.positions), axis=1)


class Boasting(SureSignPolicy):
    """Planted faults: sure of staying, its spread is negative, and it looks at other rows."""

    def confidence(self, features, bars):
        both = np.full((len(features), len(self.positions)), features.mean())
        return Confidence(both, -np.abs(both))


def test_a_confidence_that_cannot_be_is_caught():
    policy, suite = Boasting((0.0, 1.0), make_span().inputs), StrategyContract()
    for promise in (
        suite.test_it_says_of_every_decision_how_sure_it_is,
        suite.test_bar_by_bar_it_is_as_sure_as_in_the_table,
        suite.test_the_future_changes_no_past_confidence,
    ):
        with pytest.raises(AssertionError):
            promise(policy)


def test_a_policy_that_looks_ahead_is_caught():
    policy = Peeking((0.0, 1.0), make_span().inputs, np.ones(3))
    suite = StrategyContract()
    with pytest.raises(AssertionError):
        suite.test_the_future_changes_no_past_decision(policy)
    with pytest.raises(AssertionError):
        suite.test_bar_by_bar_it_decides_as_in_the_table(policy)


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path):
        StrategyContract.fitted(Constant(1.0)).save(tmp_path / "policy")
        return tmp_path / "policy"

    def rewritten(self, path, **changes):
        tensors, header = read_tensors(path)
        write_tensors(path, tensors, {**header, **changes})
        return path

    def test_code_from_outside_is_not_imported(self, path):
        self.rewritten(path, kind="antigravity:Policy")
        with pytest.raises(
            CheckpointError, match=r"not part of this package: import antigravity first"
        ):
            load_policy(path)

    @pytest.mark.parametrize("kind", ["os:system", "json:loads", None])
    def test_what_is_no_policy_is_refused(self, path, kind):
        with pytest.raises(CheckpointError):
            load_policy(self.rewritten(path, kind=kind))

    def test_another_format_is_refused(self, path):
        with pytest.raises(CheckpointError, match="not a policy of this version"):
            load_policy(self.rewritten(path, format="policy/2"))

    def test_a_missing_part_is_named(self, path):
        tensors, header = read_tensors(path)
        del header["target"]
        write_tensors(path, tensors, header)
        with pytest.raises(CheckpointError, match="the policy lacks 'target'"):
            load_policy(path)


def test_linear_finds_a_planted_edge_and_no_other():
    """On a market whose next bar follows a feature, the forecast earns; on noise it stays flat."""
    span = make_span(2_000, costs=type(make_span().rules.costs)())
    for asset in span.assets:  # close to close, from the next open on
        drift = 0.02 * np.concatenate([[0.0], asset.features[:-1, 0]])
        asset.close[:] = 100.0 * np.exp(np.cumsum(drift))
        asset.open[:] = np.concatenate([[100.0], asset.close[:-1]])
    policy = Linear(alpha=0.0, horizon=1).fit(span, span, _work())
    assert policy.weights[0] == pytest.approx(0.02 * policy.scaler.scale[0], rel=1e-6)
    assert np.abs(policy.weights[1:]).max() < 1e-9
    noise = Linear(horizon=1).fit(make_span(2_000), make_span(), _work())
    held = noise.targets(asset_with_history(500, 21))
    assert (np.diff(held) != 0).mean() < 0.02


def _work():
    from reinforcestrategycreator_pipeline.policies.base import Work
    from reinforcestrategycreator_pipeline.seeding import Seeds

    return Work(Seeds(0))
