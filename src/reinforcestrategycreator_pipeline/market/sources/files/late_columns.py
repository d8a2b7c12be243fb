"""Side data that begins later than the bars: the warm-up of an indicator, or a younger series."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Bools
from reinforcestrategycreator_pipeline.ohlcv import ADJUSTED_CLOSE, OHLCV


def without_late_starts(
    frame: pd.DataFrame, times: pd.DatetimeIndex
) -> tuple[pd.DataFrame, Bools, tuple[str, ...]]:
    """Leave out bars before the first value of side data, or the column if those are most bars.

    Values that are missing after the first one stay, and are an error later.

    Parameters
    ----------
    frame : DataFrame, shape (n, k)
        Numbers of the bars, NaN where missing, in any order.
    times : DatetimeIndex, shape (n,)
        Closes of the bars.

    Returns
    -------
    DataFrame
        All rows, without the columns that are left out.
    ndarray of bool, shape (n,)
        Rows to keep.
    tuple of str
        What is left out, one sentence each.
    """
    kept: Bools = np.ones(len(frame), dtype=bool)
    said = []
    order = np.argsort(times.asi8, kind="stable")
    for name in [c for c in frame if c not in (*OHLCV, ADJUSTED_CLOSE)]:
        missing = np.isnan(frame[name].to_numpy(np.float64)[order])
        first = int(np.argmin(missing)) if not missing.all() else len(missing)
        if first == 0:
            continue
        if 2 * first >= len(frame):
            frame = frame.drop(columns=name)
            said.append(f"{name!r} has no value on the first {first} bars, most of all; skipped.")
            continue
        before = times < times[order[first]]
        kept &= ~before
        said.append(
            f"bars before the first value of {name!r} were omitted: {int(before.sum())} (ignore: "
            f"[{name!r}] keeps them)."
        )
    return frame, kept, tuple(said)
