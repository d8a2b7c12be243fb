"""Walking forward: policies that take turns, each on the bars after those that it was fitted on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.envs.span import AssetBars, MarketSpan
from reinforcestrategycreator_pipeline.policies.base import (
    Confidence,
    Policy,
    Strategy,
    Work,
)
from reinforcestrategycreator_pipeline.seeding import Seeds


class Turn(NamedTuple):
    """One policy's bars of an asset.

    Attributes
    ----------
    number : int
        Index of the policy's window.
    policy : Policy
        Policy that decides.
    bars : AssetBars
        Its bars, from the first at whose close it decides to the one that its last decision fills.
    """

    number: int
    policy: Policy
    bars: AssetBars


@dataclass(frozen=True, eq=False)
class WalkForward:
    """Policies that decide in turn, on one account.

    Parameters
    ----------
    policies : tuple of Policy
        Policies in order of time, with the same positions.
    starts : tuple of int
        First close at which each policy decides, nanoseconds since 1970 UTC, increasing. The first
        one also decides before.
    """

    policies: tuple[Policy, ...]
    starts: tuple[int, ...]

    def table(self, asset: AssetBars) -> Ints:
        """Return the decisions from each previous target, shape (T - 1, n); see `Policy.table`."""
        return np.concatenate([turn.policy.table(turn.bars) for turn in self.turns(asset)])

    def targets(self, asset: AssetBars) -> F64:
        """Return the target exposures of every bar but the last, starting flat, shape (T - 1,)."""
        first = self.policies[0]
        return np.array(first.positions)[follow(self.table(asset), first.flat)]

    def confidence_of_targets(self, asset: AssetBars) -> Confidence | None:
        """Return how sure each policy is of its targets; NaN where it does not say.

        Returns
        -------
        Confidence or None
            Each of shape (T - 1,); None if no policy says.
        """
        parts = []
        for _, policy, bars in self.turns(asset):
            nothing = np.full((len(bars.times) - 1, len(policy.positions)), np.nan)
            parts.append(policy.confidence_table(bars) or Confidence(nothing, nothing))
        sure = Confidence(*(np.concatenate(x) for x in zip(*parts, strict=True)))
        if np.isnan(sure.advantage_bps).all():
            return None
        flat = self.policies[0].flat
        return sure.along(follow(self.table(asset), flat), flat)

    def describe(self) -> str:
        """Return the number of policies, and a line on the newest."""
        newest = self.policies[-1].describe()
        n = len(self.policies)
        return newest if n == 1 else f"{n} policies in turn; the newest: {newest}"

    def turns(self, asset: AssetBars) -> Iterator[Turn]:
        """Yield every policy that decides for an asset, and its bars, the next fill included."""
        n = len(asset.times) - 1
        past = len(asset.columns["close"]) - len(asset.times)
        turns = [0, *np.searchsorted(asset.times[:n], self.starts[1:]).tolist(), n]
        for number, (policy, start, stop) in enumerate(
            zip(self.policies, turns, turns[1:], strict=False)
        ):
            if start == stop:  # the asset has no bars then
                continue
            rows = slice(start, stop + 1)
            columns = {name: x[: past + stop + 1] for name, x in asset.columns.items()}
            yield Turn(
                number,
                policy,
                replace(
                    asset,
                    times=asset.times[rows],
                    open=asset.open[rows],
                    close=asset.close[rows],
                    features=asset.features[rows],
                    columns=columns,
                ),
            )


def fit_in_turn(
    strategy: Strategy,
    spans: Sequence[tuple[MarketSpan, MarketSpan]],
    starts: Sequence[int],
    seeds: Seeds,
) -> WalkForward:
    """Fit a strategy on every window.

    Parameters
    ----------
    strategy : Strategy
        Strategy to fit.
    spans : sequence of (MarketSpan, MarketSpan)
        Training and validation span of each window.
    starts : sequence of int
        First close of each window's test span, nanoseconds since 1970 UTC.
    seeds : Seeds
        Random numbers of the fits: of the only window, or each within a scope named after it.

    Returns
    -------
    WalkForward
        The policies in order of time. One that has foresight is fitted once: for it, a later window
        is nothing new.
    """
    policies: list[Policy] = []
    for number, (train, validation) in enumerate(spans, 1):
        own = seeds.within(f"window {number}") if len(spans) > 1 else seeds
        policies.append(strategy.fit(train, validation, Work(own)))
        if not policies[-1].causal:
            break
    return WalkForward(tuple(policies), tuple(starts[: len(policies)]))
