"""Storage of the unscaled features of all symbols between stages, before any split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.files import write_json
from reinforcestrategycreator_pipeline.storage.parquet_files import (
    columns_of,
    write_parquet_parts,
)


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """The features of all symbols, and their description.

    Attributes
    ----------
    inputs : Inputs
        Columns, lookback and specifications of the features.
    frames : mapping of str to DataFrame
        Unscaled float64 features by symbol, indexed by close time, without warm-up rows.
    """

    inputs: Inputs
    frames: Mapping[str, pd.DataFrame]

    @classmethod
    def compute(cls, bars: Mapping[str, pd.DataFrame], specs: Sequence[FeatureSpec]) -> FeatureSet:
        """Compute the features of every symbol; without specifications there are no columns.

        Raises
        ------
        ConfigError, FeatureError
            As `compute_features`.
        """
        if not specs:
            frames = {symbol: pd.DataFrame(index=frame.index) for symbol, frame in bars.items()}
            return cls(Inputs(()), frames)
        tables = {symbol: compute_features(frame, specs, symbol) for symbol, frame in bars.items()}
        frames = {
            symbol: pd.DataFrame(
                table.values[table.lookback :],
                index=bars[symbol].index[table.lookback :],
                columns=list(table.names),
                copy=False,
            )
            for symbol, table in tables.items()
        }
        first = next(iter(tables.values()))
        lookback = max(table.lookback for table in tables.values())
        inputs = Inputs(first.names, lookback, tuple(spec.to_mapping() for spec in specs))
        return cls(inputs, frames)

    @property
    def timestamps(self) -> pd.DatetimeIndex:
        """Sorted union of the stamps that have features, UTC."""
        values = [pd.DatetimeIndex(frame.index).asi8 for frame in self.frames.values()]
        return pd.DatetimeIndex(np.unique(np.concatenate(values)), tz="UTC")

    def write(self, table_path: Path, spec_path: Path) -> None:
        """Write the values as one long Parquet table and the inputs as JSON, both atomically."""
        names = list(self.inputs.names)
        stamps = next(iter(self.frames.values())).index
        schema = pa.schema(
            [
                ("symbol", pa.string()),
                ("timestamp", pa.timestamp(pd.DatetimeIndex(stamps).unit, "UTC")),
                *((name, pa.float64()) for name in names),
            ]
        )
        parts = (
            pa.table(
                [
                    pa.repeat(symbol, len(frame)),
                    pa.array(frame.index, schema.field("timestamp").type),
                    *(pa.array(frame[name].to_numpy(np.float64)) for name in names),
                ],
                schema=schema,
            )
            for symbol, frame in self.frames.items()
        )
        write_parquet_parts(table_path, schema, parts)
        write_json(spec_path, self.inputs.to_json())

    @classmethod
    def read(cls, table_path: Path, spec_path: Path) -> FeatureSet:
        """Read files that `write` wrote."""
        inputs = Inputs.from_json(json.loads(spec_path.read_text(encoding="utf-8")))
        with columns_of(table_path) as columns:
            symbols = columns.read("symbol").combine_chunks().dictionary_encode()
            stamps = pd.DatetimeIndex(columns.read("timestamp").to_numpy(), name="timestamp")
            values = np.empty((len(stamps), len(inputs.names)))
            for f, name in enumerate(inputs.names):
                values[:, f] = columns.read(name).to_numpy()
        edges = [0, *(np.flatnonzero(np.diff(symbols.indices.to_numpy())) + 1).tolist()]
        index = stamps.tz_localize("UTC")
        frames = {
            str(symbols[a].as_py()): pd.DataFrame(
                values[a:b], index=index[a:b], columns=list(inputs.names), copy=False
            )
            for a, b in zip(edges, [*edges[1:], len(stamps)], strict=True)
            if b > a
        }
        return cls(inputs, dict(sorted(frames.items())))
