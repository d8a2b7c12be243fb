"""Features as the stages hand them on, and the bars of a span ready for trading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.deployment.policy import Policy
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import parse_specs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.files import atomic_path, write_json
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.splits import Span, Splits
from reinforcestrategycreator_pipeline.models.base import Model

SPANS = ("train", "validation", "test")


@dataclass(frozen=True)
class FeatureSet:
    """Features of every symbol, how they were made, and how they are split and scaled.

    Attributes
    ----------
    names : tuple of str
        Columns.
    lookback : int
        Warm-up rows that were dropped, the largest of all symbols.
    specs : tuple of FeatureSpec
        What computes them.
    scaler : FittedScaler
        Fitted on the training span of all symbols.
    splits : Splits
        The spans of training, validation and test.
    frames : mapping of str to DataFrame
        Raw float64 features by symbol; index: close times.
    """

    names: tuple[str, ...]
    lookback: int
    specs: tuple[FeatureSpec, ...]
    scaler: FittedScaler
    splits: Splits
    frames: Mapping[str, pd.DataFrame]

    def spec_json(self) -> dict[str, object]:
        """Return all but the values, JSON-ready."""
        spans = {name: getattr(self.splits, name) for name in SPANS}
        return {
            "names": list(self.names),
            "lookback": self.lookback,
            "features": [spec.to_mapping() for spec in self.specs],
            "scaler": self.scaler.to_dict(),
            "spans": {n: [s.start.isoformat(), s.end.isoformat()] for n, s in spans.items()},
        }


def write_features(table_path: Path, spec_path: Path, features: FeatureSet) -> None:
    """Write the values as one long Parquet table, the rest as JSON; both atomically."""
    parts = []
    for symbol, frame in features.frames.items():
        part = frame.rename_axis("timestamp").reset_index()
        part.insert(0, "symbol", symbol)
        parts.append(part)
    table = pa.Table.from_pandas(pd.concat(parts, ignore_index=True), preserve_index=False)
    with atomic_path(table_path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    write_json(spec_path, features.spec_json())


def read_features(table_path: Path, spec_path: Path) -> FeatureSet:
    """Read what `write_features` wrote."""
    spec = json.loads(spec_path.read_text(encoding="utf-8"))
    table = pq.read_table(table_path).to_pandas()
    frames = {
        str(symbol): part.drop(columns="symbol").set_index("timestamp")
        for symbol, part in table.groupby("symbol", sort=True)
    }
    spans = (Span(*map(pd.Timestamp, spec["spans"][name])) for name in SPANS)
    return FeatureSet(
        names=tuple(spec["names"]),
        lookback=spec["lookback"],
        specs=parse_specs(spec["features"]),
        scaler=FittedScaler.from_dict(spec["scaler"]),
        splits=Splits(*spans),
        frames=frames,
    )


@dataclass(frozen=True)
class TradableSpan:
    """The assets of one span.

    Attributes
    ----------
    assets : tuple of AssetBars
        With scaled features.
    raw : mapping of str to ndarray
        The unscaled features of the same rows, for what scales by itself.
    skipped : tuple of str
        A sentence for each symbol with too few bars in the span.
    """

    assets: tuple[AssetBars, ...]
    raw: Mapping[str, NDArray[np.float64]]
    skipped: tuple[str, ...]


def greedy_policy(model: Model, features: FeatureSet, positions: tuple[float, ...]) -> Policy:
    """Return the greedy policy of a trained model, as it is deployed."""
    return Policy(
        network=model.policy_network(),
        positions=positions,
        feature_names=features.names,
        lookback=features.lookback,
        scaler=features.scaler,
        feature_specs=tuple(spec.to_mapping() for spec in features.specs),
    )


def tradable(data: MarketData, features: FeatureSet, name: str) -> TradableSpan:
    """Return the bars of the span `name` with their scaled features.

    Raises
    ------
    DataError
        If no symbol has two bars there.
    """
    span: Span = getattr(features.splits, name)
    assets, raw, skipped = [], {}, []
    for symbol, frame in features.frames.items():
        index = pd.DatetimeIndex(frame.index)
        inside = span.mask(index)
        if inside.sum() < 2:
            skipped.append(f"{symbol} has {int(inside.sum())} bars in the {name} span; left out")
            continue
        values = frame.to_numpy(dtype=np.float64)[inside]
        bars = data.bars[symbol].loc[index[inside]]
        assets.append(
            AssetBars(
                symbol=symbol,
                seconds=index[inside].as_unit("ns").asi8 / 1e9,
                open=bars["open"].to_numpy(dtype=np.float64),
                close=bars["close"].to_numpy(dtype=np.float64),
                features=features.scaler.transform(values, np.float32),
            )
        )
        raw[symbol] = values
    if not assets:
        raise DataError(f"no symbol has two bars in the {name} span; {'; '.join(skipped)}")
    return TradableSpan(tuple(assets), raw, tuple(skipped))
