"""Stage 2: compute and audit causal features, and divide the time into windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline.envs.span import MarketSpan
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.execution.schedule import rebalancing_bars
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import parse_specs
from reinforcestrategycreator_pipeline.features.findings import require_none
from reinforcestrategycreator_pipeline.features.joining import joined
from reinforcestrategycreator_pipeline.features.market_audit import audit_market
from reinforcestrategycreator_pipeline.features.store import FeatureSet
from reinforcestrategycreator_pipeline.features.vetting import vet
from reinforcestrategycreator_pipeline.files import write_json
from reinforcestrategycreator_pipeline.market.bars import MarketData, read_bars
from reinforcestrategycreator_pipeline.market.windows import Windows, bars_needed, windows_of
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.progress import Bars
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext


class FeatureEngineering:
    """Write ``features`` (unscaled, by symbol and time), ``feature_spec`` and ``windows``."""

    name = "feature_engineering"
    inputs: tuple[str, ...] = ("bars",)
    outputs: tuple[str, ...] = ("features", "feature_spec", "windows")

    def section(self, config: RunConfig) -> Any:
        """Return the sections of features and split, and what the bars must allow."""
        return {
            "features": to_plain(config.features),
            "split": to_plain(config.split),
            "rebalance": config.trading.rebalance,
        }

    def run(self, context: StageContext) -> None:
        """Compute features, audit them for look-ahead, drop the warm-up, and divide the time."""
        config: RunConfig = context.config
        with Bars(context.console) as bars:
            shown = partial(bars.show, "audit of features, symbols")
            features, windows, notes = engineer(read_bars(context.path("bars")), config, shown)
        for note in notes:
            context.log.warning(note)
            context.say(f"Note: {note}")
        indexes = [pd.DatetimeIndex(frame.index) for frame in features.frames.values()]
        features.write(context.path("features"), context.path("feature_spec"))
        rows = [
            {
                name: sum(len(range(*span.rows(index).indices(len(index)))) for index in indexes)
                for name, span in window.items()
            }
            for window in windows.all
        ]
        write_json(context.path("windows"), windows.to_json() | {"rows": rows})
        context.summary |= {
            "features": list(features.inputs.names),
            "lookback": features.inputs.lookback,
            "rows": rows,
            **windows.to_json(),
        }
        inputs = features.inputs
        context.log.info("features", columns=len(inputs.names), lookback=inputs.lookback)


def engineer(
    data: MarketData, config: RunConfig, progress: Callable[[int, int], None] | None = None
) -> tuple[FeatureSet, Windows, tuple[str, ...]]:
    """Compute and audit the configured features and divide the time, or say why no run can.

    ``rsc data check`` calls this function, so it accepts what a run accepts.

    Parameters
    ----------
    data : MarketData
        Bars of all symbols.
    config : RunConfig
        Configuration of the run.
    progress : callable, optional
        ``progress(done, total)`` reports the symbols whose features were audited.

    Returns
    -------
    FeatureSet
        Features without their warm-up, of the symbols with enough bars.
    Windows
        Spans of training, validation and test.
    tuple of str
        The symbols that are left out, and what the audit found that is no fault, one sentence
        each.

    Raises
    ------
    DataError
        If every symbol has too few bars, a span has too few of all, or the test span has none that
        all symbols have, where money is to move between them.
    FeatureError
        If a feature cannot be computed, or looks ahead.
    """
    specs, spans = parse_specs(config.features.columns), bars_needed(config.split)
    if cuts := config.features.audit_cuts:
        require_none(audit_market(data.bars, specs, cuts=cuts, seed=config.seed, brief=True))
    data = replace(data, bars=joined(data.bars, specs))
    features, notes = _with_enough_bars(data, specs, spans)
    if cuts:
        end = windows_of(features.timestamps, config.split).judged[0].train.end
        kept = {symbol: data.bars[symbol] for symbol in features.frames}
        vetted, found = vet(
            kept, specs, training_end=end, cuts=cuts, seed=config.seed, progress=progress
        )
        if vetted != specs:
            features, notes = _with_enough_bars(data, vetted, spans)
        notes += found
    windows = windows_of(features.timestamps, config.split)
    for window in windows.all:
        for name, span in window.items():
            MarketSpan.cut(data, features, span, config.trading, name)
    test = MarketSpan.cut(data, features, windows.test, config.trading, "test")
    times = {asset.symbol: asset.times for asset in test.assets}
    rebalancing_bars(times, config.trading.rebalance)
    return features, windows, notes


def _with_enough_bars(
    data: MarketData, specs: Sequence[FeatureSpec], spans: int
) -> tuple[FeatureSet, tuple[str, ...]]:
    """Compute features, leave out the symbols that then have too few bars, and say which.

    Raises
    ------
    DataError
        If every symbol has too few.
    """
    features = FeatureSet.compute(data.bars, specs)
    short: dict[str, tuple[int, int]] = {}
    for symbol, bars in data.bars.items():
        frame = features.frames[symbol]
        lookback = features.inputs.lookback if frame.empty else len(bars) - len(frame)
        if len(bars) < lookback + spans:
            short[symbol] = len(bars), lookback
    if not short:
        return features, ()
    (symbol, (n, lookback)), *others = short.items()
    needs = (
        f"the features' lookback ({lookback} bars) and the split ({spans}): "
        f"{lookback + spans} bars are needed."
    )
    named = ", ".join(f"{s} ({n})" for s, (n, _) in short.items())
    kept = {s: frame for s, frame in features.frames.items() if s not in short}
    if kept:
        say = f"{len(short)} of {len(data.bars)} symbols have too few bars and are left out: "
        return FeatureSet(features.inputs, kept), (f"{say}{named}; {needs}",)
    rest = ", ".join(f"{s} ({n})" for s, (n, _) in others)
    more = f" Too short as well: {rest}." if rest else ""
    raise DataError(f"{symbol}: {needs} Got {n}, {lookback + spans - n} too few.{more}")
