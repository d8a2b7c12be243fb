"""Rehearsal of a configuration: call every component on a few synthetic bars, within seconds.

``rsc config check`` uses it. It loads code, but no data, of which it only requires that the files
are there, and creates no run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.compare import compare
from reinforcestrategycreator_pipeline.backtesting.metrics.base import all_metrics
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import compute_metrics
from reinforcestrategycreator_pipeline.deployment.brokers.catalog import BROKERS
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import PaperMarket
from reinforcestrategycreator_pipeline.envs.rewards import measure
from reinforcestrategycreator_pipeline.envs.span import AssetBars, MarketSpan
from reinforcestrategycreator_pipeline.errors import ConfigError, RscError, blamed
from reinforcestrategycreator_pipeline.features.audit import level_findings
from reinforcestrategycreator_pipeline.features.base import FeatureSpec, evaluate
from reinforcestrategycreator_pipeline.features.catalog import build_feature, parse_specs
from reinforcestrategycreator_pipeline.features.findings import require_none
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source
from reinforcestrategycreator_pipeline.market.sources.files.file_source import FileSource
from reinforcestrategycreator_pipeline.market.sources.files.reading import require_files
from reinforcestrategycreator_pipeline.market.sources.synthetic import SyntheticSource
from reinforcestrategycreator_pipeline.market.vendors.source import StoreSource
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.search.space import check_space
from reinforcestrategycreator_pipeline.policies.base import STRATEGIES, Work
from reinforcestrategycreator_pipeline.seeding import Seeds

BARS = 40
"""Number of decisions in the strategy's rehearsal."""
MOST_BARS = 70_000
"""Maximum number of bars before them, for the features."""


class _AnyColumns(dict[str, F64]):
    """Bars with any column that is requested, as the side data are not known yet."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> F64:
        self[name] = np.linspace(0.5, 1.5, len(self["close"]))
        return self[name]


def rehearse(config: RunConfig) -> None:
    """Look for the data's files; call reward, features, strategy, metrics and broker.

    Raises
    ------
    ConfigError
        If a component raises or returns an invalid value; the message names its code.
    """
    steps = (
        ("data.params.path", lambda: _data(config)),
        ("data.params.series", lambda: _series(config)),
        ("trading.reward", lambda: measure(config.trading.reward, np.linspace(0.8, 1.25, 12))),
        ("strategy", lambda: _decide(config)),
        ("deployment.broker", lambda: _broker(config)),
    )
    check_space(config)
    for key, step in steps:
        try:
            step()
        except RscError as error:
            text = str(error)
            raise ConfigError(text if text.startswith("features.") else f"{key}: {text}") from error


def _data(config: RunConfig) -> None:
    """Look whether the files are there; they are not read."""
    source = build_source(config.data.source, config.data.params)
    if isinstance(source, FileSource):
        require_files(Path(source.path), source.suffixes)


def _series(config: RunConfig) -> None:
    """Look whether the store has the series; they are not read."""
    source = build_source(config.data.source, config.data.params)
    if isinstance(source, StoreSource):
        source.fingerprint()


def _decide(config: RunConfig) -> None:
    span = _span(config)
    strategy: Any = config.strategy
    name = STRATEGIES.name_of(strategy)
    with blamed(f"the strategy {name!r}", ConfigError):
        shorter = strategy.rehearsal() if hasattr(strategy, "rehearsal") else strategy
        policy = shorter.fit(span, span, Work(Seeds(config.seed)))
        results, _ = compare({name: policy}, span, 1, Seeds(config.seed))
    ours = __name__.partition(".")[0]
    own = [m.key for m in all_metrics() if m.function.__module__.partition(".")[0] != ours]
    for asset in results.values():
        compute_metrics(asset[name], 252.0, own)


def _span(config: RunConfig) -> MarketSpan:
    specs = parse_specs(config.features.columns)
    lookbacks = [build_feature(spec).lookback for spec in specs]
    # Within seconds: what looks back further has no values here, and is only called.
    longest = max((2 * known for known in lookbacks if known is not None), default=0)
    n_bars = min(max(300, longest), MOST_BARS) + BARS
    source = SyntheticSource(n_bars=n_bars)
    (frame,) = source.load(np.random.default_rng(config.seed)).bars.values()
    bars = _AnyColumns({str(name): frame[name].to_numpy(np.float64) for name in frame})
    parts, names = [], []
    for i, spec in enumerate(specs):
        computed = _evaluated(spec, i, bars)
        parts.append(np.nan_to_num(computed.values[-BARS:]))
        names += computed.columns
    tail = slice(-BARS, None)
    asset = AssetBars(
        symbol="REHEARSAL",
        times=pd.DatetimeIndex(frame.index[tail]).as_unit("ns").asi8,
        open=bars["open"][tail],
        close=bars["close"][tail],
        features=np.concatenate(parts, axis=1),
        columns=dict(bars),
    )
    return MarketSpan((asset,), Inputs(tuple(names)), config.trading)


def _evaluated(spec: FeatureSpec, i: int, bars: _AnyColumns) -> Any:
    try:
        computed = evaluate(build_feature(spec), spec.name, bars)
        if computed.lookback + 2 <= len(computed.values):
            require_none(level_findings(spec, dict(bars)))  # with the columns that it has asked for
        return computed
    except RscError as error:
        raise ConfigError(f"features.columns[{i}]: {error}") from error


def _broker(config: RunConfig) -> None:
    market = PaperMarket("REHEARSAL", 1000.0, config.trading.costs)
    name = BROKERS.name_of(config.deployment.broker)
    with blamed(f"the broker {name!r}", ConfigError):
        broker = config.deployment.broker(market)
    missing = [m for m in ("submit", "poll", "positions", "account") if not hasattr(broker, m)]
    if missing:
        kind = type(broker).__name__
        raise ConfigError(
            f"the broker {name!r} returned an object of type {kind}, which lacks "
            f"{', '.join(missing)}."
        )
