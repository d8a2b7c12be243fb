"""Vetting of the features of a run: their lookback is settled, then they are audited."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import pandas as pd

from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.features.audit import audit_features, require_none
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import build_feature
from reinforcestrategycreator_pipeline.features.fresh import FreshProcesses, is_shipped
from reinforcestrategycreator_pipeline.features.warm_up import settle
from reinforcestrategycreator_pipeline.seeding import generator

MOST_SYMBOLS = 40
"""Symbols on whose bars shipped features are audited, if there are more."""


def vet(
    bars: Mapping[str, pd.DataFrame],
    specs: Sequence[FeatureSpec],
    *,
    training_end: pd.Timestamp,
    cuts: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[tuple[FeatureSpec, ...], tuple[str, ...]]:
    """Return features with the lookback that they need; reject those that no backtest can trust.

    Parameters
    ----------
    bars : mapping of str to DataFrame
        Bars by symbol.
    specs : sequence of FeatureSpec
        Specifications of the features.
    training_end : Timestamp
        Close of the last training bar. Later bars may reject a feature, but not choose its
        lookback: it decides what is trained.
    cuts : int
        Cuts per check of the audit, >= 1.
    seed : int
        Seed of the run.
    progress : callable, optional
        ``progress(done, total)`` reports the symbols audited.

    Returns
    -------
    specs : tuple of FeatureSpec
        The same features; the specification of a user's feature states its lookback.
    notes : tuple of str
        A sentence on every feature that needs more bars than it stated.

    Raises
    ------
    FeatureError
        If a feature looks ahead, depends on price levels, files, hosts or its own memory, or never
        settles.
    """
    known = {symbol: frame[frame.index <= training_end] for symbol, frame in bars.items()}
    known = {symbol: frame for symbol, frame in known.items() if len(frame)}
    with FreshProcesses() as processes:
        try:
            settled, notes = settle(known, specs, processes, seed)
        except FeatureError:
            # A leak from the whole sample never settles, either; that it leaks is the better news.
            for symbol, frame in bars.items():
                found = audit_features(
                    frame, specs, cuts=cuts, seed=seed, symbol=symbol, processes=processes
                )
                require_none([finding for finding in found if finding.check != "lookback"])
            raise
        shown, users = audited_symbols(bars, seed), [s for s in settled if not _shipped(s)]
        for done, (symbol, frame) in enumerate(bars.items(), 1):
            if own := settled if symbol in shown else users:
                require_none(
                    audit_features(
                        frame, own, cuts=cuts, seed=seed, symbol=symbol, processes=processes
                    )
                )
            if progress is not None:
                progress(done, len(bars))
    return settled, notes


def audited_symbols(bars: Collection[str], seed: int) -> frozenset[str]:
    """Return the symbols whose bars show that a shipped feature is causal: all, or `MOST_SYMBOLS`.

    A user's feature is audited on the bars of every symbol.
    """
    names = sorted(bars)
    if len(names) <= MOST_SYMBOLS:
        return frozenset(names)
    rng = generator(seed, "feature-audit/symbols")
    return frozenset(rng.choice(names, MOST_SYMBOLS, replace=False).tolist())


def _shipped(spec: FeatureSpec) -> bool:
    return is_shipped(build_feature(spec))
