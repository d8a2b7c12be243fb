"""Permutation importance of a policy's features (Breiman 2001, section 10, for decisions)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.backtesting.compare import log_growths
from reinforcestrategycreator_pipeline.envs.grid import follow, follow_all
from reinforcestrategycreator_pipeline.envs.span import AssetBars, MarketSpan
from reinforcestrategycreator_pipeline.policies.base import Policy
from reinforcestrategycreator_pipeline.policies.walk_forward import WalkForward
from reinforcestrategycreator_pipeline.reporting.behavior.found import Importance

_FEWEST, _MOST = 3, 5  # permutations
MOST_ROWS = 450_000
"""Largest number of decisions with a permuted feature, less than a second of an ensemble's time."""

NEWEST = 5_000
"""Bars of one asset that take part in any case."""


class Importances(NamedTuple):
    """The importance of each feature, and how much was measured.

    Attributes
    ----------
    features : dict of str to Importance
        What permuting each feature changes.
    decisions, assets, permutations : int
        Number of decisions, of their assets, and of permutations of each feature.
    """

    features: dict[str, Importance]
    decisions: int
    assets: int
    permutations: int


def importances(
    policies: WalkForward, span: MarketSpan, rng: np.random.Generator, most_rows: int = MOST_ROWS
) -> Importances:
    """Permute each feature across the bars of each asset and window, and let the policy decide.

    All other features, the prices and their order stay as they are. The share of decisions that
    change takes each from the target that was held in truth; the growth is that of the whole path.

    Parameters
    ----------
    policies : WalkForward
        Policies in turn.
    span : MarketSpan
        Bars on which they are judged.
    rng : numpy.random.Generator
        Source of the permutations, and of the choice of assets.
    most_rows : int
        Largest number of decisions with a permuted feature. What is beyond it is saved first by
        fewer permutations, three instead of five, then by fewer assets, drawn at random. Of one
        asset with more rows, the newest take part, 5,000 at least, in one permutation.

    Returns
    -------
    Importances
        Without features, it has none.
    """
    names = span.inputs.names
    if not names:
        return Importances({}, 0, 0, 0)
    each = max(len(asset.times) for asset in span.assets) * len(names)
    times = int(np.clip(most_rows // (each * len(span.assets)), _FEWEST, _MOST))
    times = max(min(times, most_rows // each), 1)
    count = int(np.clip(most_rows // (each * times), 1, len(span.assets)))
    chosen = np.sort(rng.permutation(len(span.assets))[:count])
    assets = [_newest(span.assets[i], max(NEWEST, most_rows // len(names))) for i in chosen]
    found = [_of_asset(policies, asset, span, rng, times) for asset in assets]
    decisions = sum(len(asset.times) - 1 for asset in assets)
    changed = np.sum([x[0] for x in found], axis=0) / decisions
    growth = np.mean([x[1] for x in found], axis=0)
    features = {
        name: _importance(float(changed[f].mean()), growth[f]) for f, name in enumerate(names)
    }
    return Importances(features, decisions, count, times)


def _newest(asset: AssetBars, count: int) -> AssetBars:
    """Return the newest bars of an asset, at most so many."""
    rows = slice(-count, None)
    return replace(
        asset,
        times=asset.times[rows],
        open=asset.open[rows],
        close=asset.close[rows],
        features=asset.features[rows],
    )


def _importance(changed: float, growth: F64) -> Importance:
    if not np.isfinite(growth).all():
        return Importance(changed, None, None)
    sd = float(growth.std(ddof=1)) if len(growth) > 1 else None
    return Importance(changed, float(growth.mean()), sd)


def _of_asset(
    policies: WalkForward, asset: AssetBars, span: MarketSpan, rng: np.random.Generator, times: int
) -> tuple[Annotated[F64, "f k"], Annotated[F64, "f k"]]:
    """Return the number of changed decisions and the change of growth, by feature and draw."""
    n_features, flat = len(span.inputs.names), policies.policies[0].flat
    changed, held = np.zeros((n_features, times)), flat
    ends = np.full(n_features * times, flat)
    own, others = [], []
    for _, policy, bars in policies.turns(asset):
        features = np.asarray(bars.features[:-1], dtype=np.float64)
        columns = {name: x[:-1] for name, x in bars.columns.items()}
        table = _tables(policy, features[None], columns)[0]
        path = follow(table, held)
        before, rows = np.concatenate([[held], path[:-1]]), np.arange(len(path))
        tables = []
        for f in range(n_features):
            stacked = np.repeat(features[None], times, axis=0)
            for k in range(times):
                stacked[k, :, f] = features[rng.permutation(len(features)), f]
            chosen = _tables(policy, stacked, columns)
            changed[f] += (chosen[:, rows, before] != path).sum(axis=1)
            tables.append(chosen)
        paths = follow_all(np.concatenate(tables), ends)
        held, ends = int(path[-1]), paths[:, -1]
        own.append(path)
        others.append(paths)
    grid, none = np.array(policies.policies[0].positions), np.zeros(1)
    costs = span.rules.costs
    growth = log_growths(asset.prices, none, grid[np.concatenate(own)][None], costs)
    permuted = grid[np.concatenate(others, axis=1)]
    grown = log_growths(asset.prices, np.zeros(len(permuted)), permuted, costs)
    return changed, (grown - growth).reshape(n_features, times)


def _tables(
    policy: Policy, features: Annotated[F64, "k n f"], columns: dict[str, F64]
) -> Annotated[Ints, "k n p"]:
    """Return the decisions on each of k sets of features of the same bars."""
    k, n, _ = features.shape
    if not policy.history:
        rows = features.reshape(k * n, -1)
        return policy.choose_fast(rows, {}).reshape(k, n, -1)
    return np.stack([policy.choose_fast(np.ascontiguousarray(x), columns) for x in features])
