"""Stage 2: causal features, warm-up dropped, the splits, and a scaler fitted on training rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.features.audit import audit_features, require_none
from reinforcestrategycreator_pipeline.features.catalog import parse_specs
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.market.bars import read_bars
from reinforcestrategycreator_pipeline.market.splits import (
    Splits,
    bars_needed,
    chronological_split,
    require_bars,
)
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import plain
from reinforcestrategycreator_pipeline.pipeline.config.user_code import fingerprints
from reinforcestrategycreator_pipeline.pipeline.dataset import SPANS, FeatureSet, write_features
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext


class FeatureEngineering:
    """``bars`` -> ``features`` (raw, by symbol and time) and ``feature_spec``."""

    name = "feature_engineering"
    inputs: tuple[str, ...] = ("bars",)
    outputs: tuple[str, ...] = ("features", "feature_spec")

    def section(self, config: RunConfig) -> Any:
        """Return features, the code of those from outside, and split."""
        return {
            "features": plain(config.features),
            "code": fingerprints(spec.name for spec in parse_specs(config.features.columns)),
            "split": plain(config.split),
        }

    def run(self, context: StageContext) -> None:
        """Compute, audit for look-ahead, split, fit the scaler on the training rows."""
        config: RunConfig = context.config
        specs = parse_specs(config.features.columns)
        data = read_bars(context.path("bars"))
        frames: dict[str, pd.DataFrame] = {}
        names: tuple[str, ...] = ()
        lookback = 0
        for symbol, bars in data.bars.items():
            table = compute_features(bars, specs, symbol)
            spans = bars_needed(config.split)
            require_bars(
                len(bars),
                table.lookback + spans,
                f"{symbol}: the features' lookback ({table.lookback} bars) and the three spans "
                f"({spans})",
            )
            if config.features.audit_cuts:
                cuts, seed = config.features.audit_cuts, context.seed
                require_none(audit_features(bars, specs, cuts=cuts, seed=seed, symbol=symbol))
            names, lookback = table.names, max(lookback, table.lookback)
            kept = slice(table.lookback, None)
            frames[symbol] = pd.DataFrame(
                table.values[kept], index=bars.index[kept], columns=list(names)
            )
        stamps = pd.DatetimeIndex(np.unique(np.concatenate([f.index for f in frames.values()])))
        stamps = stamps.tz_localize("UTC") if stamps.tz is None else stamps
        splits = chronological_split(stamps, config.split)
        training = [f.to_numpy()[splits.train.mask(_index(f))] for f in frames.values()]
        scaler = config.features.scaler.fit(np.concatenate(training))
        features = FeatureSet(names, lookback, specs, scaler, splits, frames)
        write_features(context.path("features"), context.path("feature_spec"), features)
        context.summary["features"] = list(names)
        context.summary["lookback"] = lookback
        context.summary["spans"] = _describe(splits)
        context.summary["rows"] = {
            span: sum(int(getattr(splits, span).mask(_index(f)).sum()) for f in frames.values())
            for span in SPANS
        }
        context.log.info("features", columns=len(names), lookback=lookback)


def _index(frame: pd.DataFrame) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(frame.index)


def _describe(splits: Splits) -> dict[str, list[str]]:
    spans = {name: getattr(splits, name) for name in SPANS}
    return {name: [s.start.isoformat(), s.end.isoformat()] for name, s in spans.items()}
