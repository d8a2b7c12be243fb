"""Rebuild the bundled sample, byte for byte, from the package `bokeh_sampledata` 2026.1.

Run it in an environment that has that package, pandas and pyarrow:

    python scripts/build_sample_data.py [OUTPUT]

It prints the SHA-256, which `market/sources/sample.py` and `SAMPLE_DATA.md` must hold. The bytes
also depend on the version of pyarrow (its writer signs the file); the values do not.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
COLUMNS = ("open", "high", "low", "close", "volume", "adj_close")
PACKAGE = Path(__file__).parent.parent / "src" / "reinforcestrategycreator_pipeline"
OUTPUT = PACKAGE / "market" / "data" / "sample_daily.parquet"


def build() -> pa.Table:
    """Return one row a symbol and session, stamped at 16:00 in New York."""
    from bokeh_sampledata import stocks

    frames = []
    for symbol in SYMBOLS:
        raw = getattr(stocks, symbol)
        sessions = pd.to_datetime(raw["date"], format="%Y-%m-%d")
        closes = (sessions + pd.Timedelta(hours=16)).tz_localize("America/New_York")
        frames.append(
            pa.table(
                {
                    "symbol": pa.array([symbol] * len(closes)),
                    "timestamp": pa.array(
                        closes.tz_convert("UTC").as_unit("ms").to_numpy(), pa.timestamp("ms", "UTC")
                    ),
                    **{c: pa.array(np.asarray(raw[c], dtype=np.float64)) for c in COLUMNS},
                }
            )
        )
    return pa.concat_tables(frames)


def main() -> None:
    """Write the file and print its hash."""
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT
    table = build()
    pq.write_table(table, output, compression="zstd", compression_level=19)
    digest = hashlib.sha256(output.read_bytes()).hexdigest()
    print(f"{output}: {table.num_rows} rows, {output.stat().st_size} bytes, SHA-256 {digest}")


if __name__ == "__main__":
    main()
