"""The measurement of a policy's behavior, on the bars that judge it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO, Results
from reinforcestrategycreator_pipeline.envs.span import MarketSpan
from reinforcestrategycreator_pipeline.policies.walk_forward import WalkForward
from reinforcestrategycreator_pipeline.reporting.behavior.found import Behavior
from reinforcestrategycreator_pipeline.reporting.behavior.importance import importances
from reinforcestrategycreator_pipeline.reporting.behavior.largest import largest_trades, moments_of
from reinforcestrategycreator_pipeline.reporting.behavior.responses import response


def behavior(
    policies: WalkForward,
    span: MarketSpan,
    results: Results,
    strategy: str,
    training: Sequence[MarketSpan],
    rng: np.random.Generator,
) -> Behavior:
    """Measure what a policy does with its features.

    Parameters
    ----------
    policies : WalkForward
        Policies in turn.
    span : MarketSpan
        Bars on which they are judged.
    results : mapping of str to mapping of str to StrategyResult
        Results on these bars, by asset or ``"PORTFOLIO"``, then by strategy.
    strategy : str
        Name of the strategy.
    training : sequence of MarketSpan
        Training span of each window.
    rng : numpy.random.Generator
        Source of the permutations.
    """
    own = [results[asset.symbol][strategy] for asset in span.assets]
    features = np.concatenate([asset.features[:-1] for asset in span.assets]).astype(
        np.float64, copy=False
    )
    exposure = np.concatenate([result.exposure for result in own])
    said = [r.advantage_bps for r in own if r.advantage_bps is not None]
    advantage = np.concatenate(said) if said and len(said) == len(own) else None
    measured = importances(policies, span, rng)
    return Behavior(
        {
            name: response(features[:, f], exposure, advantage)
            for f, name in enumerate(span.inputs.names)
        },
        measured.features,
        measured.decisions,
        measured.assets,
        measured.permutations,
        largest_trades(
            results[PORTFOLIO][strategy].trades,
            span,
            policies.starts,
            [moments_of(window) for window in training],
        ),
    )
