"""Policies that take turns: who decides when, and what each of them sees."""

from dataclasses import dataclass

import numpy as np
import pytest
from policy_cases import sure_policy

from reinforcestrategycreator_pipeline.envs.span import MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.policies.base import Policy, Work
from reinforcestrategycreator_pipeline.policies.baselines import Constant, MovingAverageCrossover
from reinforcestrategycreator_pipeline.policies.linear import Linear
from reinforcestrategycreator_pipeline.policies.oracle import Oracle
from reinforcestrategycreator_pipeline.policies.walk_forward import WalkForward, fit_in_turn
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.testing.strategy_contract import (
    INPUTS,
    asset_with_history,
    make_span,
)
from reinforcestrategycreator_pipeline.testing.trading_cases import DAY, asset_of

GRID = (-1.0, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Always(Policy):
    """Chooses one target, or stays where it is after a long."""

    target: int = 0
    stays: bool = False

    def choose(self, features, bars):
        row = [self.target, self.target, 2 if self.stays else self.target]
        return np.tile(row, (len(features), 1))


def flat_asset(n, first=0):
    prices = np.full(n, 10.0)
    times = (first + np.arange(n)) * DAY
    return asset_of(prices, prices, times, np.zeros((n, 3)))


def test_each_decides_from_its_first_close_on():
    turns = WalkForward(
        (Always(GRID, INPUTS, 2), Always(GRID, INPUTS, 0), Always(GRID, INPUTS, 1)),
        (0, 3 * DAY, 5 * DAY),
    )
    # Closes of days 0 to 6; the last allows no decision.
    assert turns.targets(flat_asset(7)).tolist() == [1, 1, 1, -1, -1, 0]
    # Before its own start, the first one decides, too; one whose bars are missing is left out.
    assert turns.targets(flat_asset(4, first=-2)).tolist() == [1, 1, 1]
    assert turns.targets(flat_asset(3, first=5)).tolist() == [0, 0]


def test_the_next_one_finds_what_the_one_before_left():
    turns = WalkForward(
        (Always(GRID, INPUTS, 2), Always(GRID, INPUTS, 0, stays=True)), (0, 2 * DAY)
    )
    assert turns.targets(flat_asset(6)).tolist() == [1, 1, 1, 1, 1]
    turns = WalkForward(
        (Always(GRID, INPUTS, 1), Always(GRID, INPUTS, 0, stays=True)), (0, 2 * DAY)
    )
    assert turns.targets(flat_asset(6)).tolist() == [0, 0, -1, -1, -1]


@pytest.mark.parametrize("strategy", [Linear(), MovingAverageCrossover(3, 10), Constant(1.0)])
def test_turns_of_one_policy_are_that_policy(strategy):
    policy = strategy.fit(make_span(), make_span(60, 7), Work(Seeds(0)))
    asset = asset_with_history(80, 13)
    starts = (0, int(asset.times[20]), int(asset.times[21]), int(asset.times[70]))
    turns = WalkForward((policy,) * 4, starts)
    np.testing.assert_array_equal(turns.table(asset), policy.table(asset))
    np.testing.assert_array_equal(turns.targets(asset), policy.targets(asset))


def test_one_that_does_not_say_how_sure_it_is_leaves_a_gap():
    sure, silent = sure_policy(GRID), Always(GRID, INPUTS, 1)
    asset = asset_with_history(40, 3)
    starts = (0, int(asset.times[15]))
    assert WalkForward((silent, silent), starts).confidence_of_targets(asset) is None
    found = WalkForward((sure, silent), starts).confidence_of_targets(asset)
    alone = sure.confidence_of_targets(asset)
    for part, whole in zip(found, alone, strict=True):
        np.testing.assert_array_equal(part[:15], whole[:15])
        assert np.isnan(part[15:]).all()


@dataclass(frozen=True)
class Drawn:
    """A strategy that notes what it was given."""

    seen: list

    def fit(self, train, validation, work):
        self.seen.append((train, validation, work.seeds.generator("x").random()))
        return Always(GRID, INPUTS, 1)


def test_every_window_has_its_own_bars_and_random_numbers():
    a, b, c = (
        MarketSpan((flat_asset(5, first),), INPUTS, TradingRules(GRID)) for first in (0, 5, 9)
    )
    drawn = Drawn([])
    turns = fit_in_turn(drawn, [(a, b), (b, c)], (0, DAY), Seeds(3))
    assert [(x, y) for x, y, _ in drawn.seen] == [(a, b), (b, c)]
    draws = [draw for _, _, draw in drawn.seen]
    assert draws == [Seeds(3).within(f"window {k}").generator("x").random() for k in (1, 2)]
    assert len(turns.policies) == 2
    fit_in_turn(drawn, [(a, b)], (0,), Seeds(3))
    assert drawn.seen[-1][-1] == Seeds(3).generator("x").random()  # alone, as ever


def test_foresight_does_not_end_with_a_window():
    span = make_span()
    turns = fit_in_turn(Oracle(), [(span, span)] * 3, (0, DAY, 2 * DAY), Seeds(0))
    assert len(turns.policies) == 1
