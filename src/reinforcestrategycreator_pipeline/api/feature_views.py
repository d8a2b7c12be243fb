"""A feature on the training bars: its values, how long they last, and what they say."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.api.bars import Frames
from reinforcestrategycreator_pipeline.api.runs import arguments_of, resolved
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, nearest
from reinforcestrategycreator_pipeline.features.base import FEATURES, FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import (
    build_feature,
    list_features,
    parse_specs,
)
from reinforcestrategycreator_pipeline.features.joining import joined
from reinforcestrategycreator_pipeline.features.table import FeatureTable, compute_features
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source, load_source
from reinforcestrategycreator_pipeline.market.windows import windows_of
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.reporting.features.view import FeatureView, view_of
from reinforcestrategycreator_pipeline.runs.folder import RUNS
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.trust import typed

_FEWEST = 30  # values
_OURS = f"{__name__.partition('.')[0]}.features."


def show_feature(
    feature: object,
    config: str | Path | Mapping[str, Any] | RunConfig | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    symbols: Sequence[str] | None = None,
    bars: Frames | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    trust: Sequence[str | Path] = (),
) -> FeatureView:
    """Compute a feature on the training bars of a configuration, and measure it there.

    ``rsc features show`` calls this function. The bars are those of the first window's training;
    what comes after them is neither drawn nor measured, as it would choose the feature.

    Parameters
    ----------
    feature : str, mapping, function or dataclass
        The feature: a name, ``{"name": ..., **parameters}``, ``"module:function"``, or the function
        itself. A name that the configuration lists has the parameters that it has there.
    config : path, mapping or RunConfig, optional
        A YAML file, or its content as a mapping; see `run`.
    parameters : mapping, optional
        Parameters that replace those.
    symbols : sequence of str, optional
        Symbols to show; by default all.
    bars : DataFrame, or mapping of str to DataFrame, optional
        Bars in memory, in place of ``data.source``; see `read_bars`.
    overrides : mapping or sequence of str, optional
        Keys of the configuration to set; see `run`.
    trust : sequence of path
        Folders whose modules the configuration may name; see `run`.

    Returns
    -------
    FeatureView
        Values and measures by symbol and column; `render_feature` of `reporting.features.page`
        draws them.

    Raises
    ------
    RscError
        If the feature, the configuration or the data are wrong.

    Examples
    --------
    >>> view = show_feature("rsi", symbols=["IBM"])
    >>> view.measures[0].column, round(view.measures[0].autocorrelation[0], 2)
    ('rsi_14', 0.93)
    """
    named = [feature.partition(":")[0]] if isinstance(feature, str) and ":" in feature else []
    with (
        typed(named),
        resolved(config, arguments_of(None, bars), overrides, RUNS, None, trust) as complete,
    ):
        spec = _spec(feature, complete, parameters or {})
        source = build_source(complete.data.source, complete.data.params)
        data = load_source(source, complete.data.source, generator(complete.seed, "data"))
        for symbol in symbols or ():
            if symbol not in data.bars:
                raise ConfigError(f"the data have no symbol {symbol!r}.{nearest(symbol, data)}")
        market = joined(data.bars, [spec])
        chosen = {s: market[s] for s in market if symbols is None or s in symbols}
        # Of all bars, as in a run: the spans are counted from the first row of any symbol.
        tables = {s: compute_features(frame, [spec], s) for s, frame in market.items()}
        end = _training_end(complete, market, tables)
        trained = {s: frame[frame.index <= end] for s, frame in chosen.items()}
        few = [s for s, f in trained.items() if len(f) - tables[s].lookback < _FEWEST]
        if len(few) == len(trained):
            symbol = few[0]
            raise DataError(
                f"{symbol}: feature {spec.name!r} has values on fewer than {_FEWEST} of the "
                f"{len(trained[symbol])} training bars, which end on {end:%Y-%m-%d}."
            )
        kept = {s: frame for s, frame in trained.items() if s not in few}
        return view_of(spec, kept, {s: tables[s] for s in kept}, end)


def _spec(feature: object, config: RunConfig, parameters: Mapping[str, Any]) -> FeatureSpec:
    """Return the feature to show, with the parameters that the configuration gives it."""
    listed = [c for c in config.features.columns if c["name"] == feature]
    mapping: Mapping[str, Any]
    if isinstance(feature, str):
        mapping = listed[0] if listed else {"name": feature}
    else:
        mapping = (
            feature if isinstance(feature, Mapping) else parse_specs([feature])[0].to_mapping()
        )
    return parse_specs([{**mapping, **parameters}])[0]


def _training_end(
    config: RunConfig, market: Mapping[str, pd.DataFrame], tables: Mapping[str, FeatureTable]
) -> pd.Timestamp:
    """Return the close of the last bar of the first window's training."""
    stamps = [pd.DatetimeIndex(f.index[tables[s].lookback :]).asi8 for s, f in market.items()]
    every = pd.DatetimeIndex(np.unique(np.concatenate(stamps)), tz="UTC")
    return windows_of(every, config.split).judged[0].train.end


class ListedFeature(NamedTuple):
    """A feature in the list of all.

    Attributes
    ----------
    name, summary : str
        Name in the configuration, and the first paragraph of its documentation.
    lookback : int or None
        Bars before its first value at the default parameters; None if it has none without more.
    parameters : mapping of str to str
        Defaults of its parameters, as text.
    """

    name: str
    summary: str
    lookback: int | None
    parameters: Mapping[str, str]


def list_families() -> dict[str, tuple[str, tuple[ListedFeature, ...]]]:
    """Return the registered features by family: its title and its members.

    A family is the module that defines a feature, for those of this package; the others are your
    own.
    """
    found: dict[str, tuple[str, list[ListedFeature]]] = {}
    for about in list_features():
        member: Any = FEATURES.get(about.name)
        module = sys.modules[member.__module__]
        ours = module.__name__.startswith(_OURS)
        family = module.__name__.rpartition(".")[2] if ours else "your own"
        title = (module.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        try:
            lookback = build_feature(FeatureSpec(about.name)).lookback
        except ConfigError:  # a parameter has no default, or an extra is not installed
            lookback = None
        entry = ListedFeature(about.name, about.summary, lookback, about.parameters)
        found.setdefault(family, (title, []))[1].append(entry)
    return {name: (title, tuple(rows)) for name, (title, rows) in sorted(found.items())}
