"""Stage 2: compute and audit causal features, and split the time into three spans."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline.features.audit import audit_features, require_none
from reinforcestrategycreator_pipeline.features.catalog import parse_specs
from reinforcestrategycreator_pipeline.features.store import FeatureSet
from reinforcestrategycreator_pipeline.files import write_json
from reinforcestrategycreator_pipeline.market.bars import read_bars
from reinforcestrategycreator_pipeline.market.windows import (
    bars_needed,
    chronological_split,
    require_bars,
)
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext


class FeatureEngineering:
    """Write ``features`` (unscaled, by symbol and time), ``feature_spec`` and ``windows``."""

    name = "feature_engineering"
    inputs: tuple[str, ...] = ("bars",)
    outputs: tuple[str, ...] = ("features", "feature_spec", "windows")

    def section(self, config: RunConfig) -> Any:
        """Return the sections of features and split."""
        return {"features": to_plain(config.features), "split": to_plain(config.split)}

    def run(self, context: StageContext) -> None:
        """Compute features, audit them for look-ahead, drop the warm-up, and split the time."""
        config: RunConfig = context.config
        specs = parse_specs(config.features.columns)
        data = read_bars(context.path("bars"))
        spans, cuts = bars_needed(config.split), config.features.audit_cuts
        features = FeatureSet.compute(data.bars, specs)
        for symbol, bars in data.bars.items():
            frame = features.frames[symbol]
            lookback = features.inputs.lookback if frame.empty else len(bars) - len(frame)
            require_bars(
                len(bars),
                lookback + spans,
                f"{symbol}: the features' lookback ({lookback} bars) and the three spans ({spans})",
            )
            if cuts:
                seed = context.seed
                require_none(audit_features(bars, specs, cuts=cuts, seed=seed, symbol=symbol))
        indexes = [pd.DatetimeIndex(frame.index) for frame in features.frames.values()]
        window = chronological_split(features.timestamps, config.split)
        features.write(context.path("features"), context.path("feature_spec"))
        rows = {
            name: sum(int(span.mask(index).sum()) for index in indexes)
            for name, span in window.items()
        }
        write_json(context.path("windows"), {"windows": [window.to_json()], "rows": [rows]})
        context.summary |= {
            "features": list(features.inputs.names),
            "lookback": features.inputs.lookback,
            "spans": window.to_json(),
            "rows": rows,
        }
        inputs = features.inputs
        context.log.info("features", columns=len(inputs.names), lookback=inputs.lookback)
