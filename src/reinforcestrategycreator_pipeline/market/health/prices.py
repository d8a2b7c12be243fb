"""Oddities of prices and volume: spikes, outliers, splits, stale runs, bars without volume."""

from __future__ import annotations

from math import log

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Bools, Ints
from reinforcestrategycreator_pipeline.market.health.findings import Finding, finding
from reinforcestrategycreator_pipeline.market.health.ticks import bad_ticks, splits_beside

_WINDOW = 60  # moves on either side from which the usual size is estimated
_DEVIATIONS = 10.0  # for a thousand bars
_SPIKE = 0.5  # of them, if the next bar takes the move back
_TAKEN_BACK = 0.25  # part of a spike that may remain
_SMALLEST = 0.002  # log move that is checked
_FEWEST = 30  # bars without which there is no usual size
_RARE = 0.01  # expected number of stale runs, by chance, below which one is reported
_LEAST_REPEATS = 1e-2  # assumed share of bars that repeat a close
_SHORT, _DAILY_RUN, _INTRADAY_RUN = 18 * 3600.0, 3, 10


def price_findings(symbol: str, frame: pd.DataFrame, seconds: float) -> list[Finding]:
    """Return the findings on the prices and the volume of one symbol.

    Parameters
    ----------
    symbol : str
        Name of the symbol.
    frame : DataFrame
        Bars in order of time, validated.
    seconds : float
        Median spacing of the bars.
    """
    ticks, factors = bad_ticks(frame)
    wrong: Bools = np.zeros(len(frame) + 1, dtype=bool)
    wrong[ticks] = True
    wrong[ticks + 1] = True
    found = [finding("bad_tick", symbol, ticks, factors, grave=True)]
    splits = [
        (int(frame.index.searchsorted(stamp)), float(ratio))
        for stamp, ratio in splits_beside(frame, ticks)
    ]
    bars, ratios = zip(*splits, strict=True) if splits else ((), ())
    found.append(finding("split", symbol, bars, ratios, grave=True))
    wrong[list(bars)] = True
    found += _moves(symbol, frame, wrong[:-1], seconds)
    found.append(_stale(symbol, frame, seconds))
    found.append(_without_volume(symbol, frame))
    return [one for one in found if len(one.bars) or one.note]


def _moves(symbol: str, frame: pd.DataFrame, known: Bools, seconds: float) -> list[Finding]:
    """Return spikes and outliers, but for bars that are known to be odd."""
    if len(frame) < _FEWEST:
        return []
    opens, highs, lows, closes = (
        np.log(frame[name].to_numpy(np.float64)) for name in ("open", "high", "low", "close")
    )
    moves = np.diff(closes)
    gaps = np.diff(pd.DatetimeIndex(frame.index).asi8) > 1.5e9 * seconds
    usual = np.empty(len(moves))
    for part in (gaps, ~gaps):
        usual[part] = _usual(moves[part])
    # Tails of returns fall with the third power (Gopikrishnan et al. 1998, eq. 2): the largest of
    # n moves grows with its cube root.
    far = _DEVIATIONS * max(1.0, (len(moves) / 1000) ** (1 / 3))
    size = np.abs(moves)
    candidates = np.flatnonzero((size > _SPIKE * far * usual) & (size > _SMALLEST))
    spikes: dict[int, float] = {}
    outliers: dict[int, float] = {}
    for i in candidates.tolist():
        t = i + 1
        if known[t] or t in spikes or t - 1 in spikes:
            continue
        back = moves[i] + moves[i + 1] if i + 1 < len(moves) else moves[i]
        if abs(back) <= _TAKEN_BACK * size[i]:
            spikes[t] = moves[i]
        elif size[i] > far * usual[i]:
            outliers[t] = moves[i]
    whole = np.concatenate([[usual[0]], usual])
    for wick in (highs - np.maximum(opens, closes), lows - np.minimum(opens, closes)):
        shape = far * np.maximum(whole, _usual(wick))
        for t in np.flatnonzero((np.abs(wick) > shape) & (np.abs(wick) > _SMALLEST)).tolist():
            if not known[t] and t not in outliers:
                spikes.setdefault(t, float(wick[t]))
    return [
        finding("spike", symbol, sorted(spikes), [spikes[t] for t in sorted(spikes)], grave=True),
        finding("outlier", symbol, sorted(outliers), [outliers[t] for t in sorted(outliers)]),
    ]


def _usual(moves: F64) -> F64:
    """Return the usual size of each move: the mean of those around it, without it, as a deviation.

    The mean size of normal numbers is 0.798 of their standard deviation.
    """
    if len(moves) < 2:
        return np.full(len(moves), np.inf)
    size = np.abs(moves)
    size = np.minimum(size, 20 * max(float(size.mean()), 1e-12))  # of an error, for its neighbors
    total = np.concatenate([[0.0], np.cumsum(size)])
    here = np.arange(len(size))
    low, high = np.maximum(here - _WINDOW, 0), np.minimum(here + _WINDOW + 1, len(size))
    around: F64 = (total[high] - total[low] - size) / (high - low - 1) / 0.798
    return np.maximum(around, 0.25 * float(size.mean()) / 0.798)


def _stale(symbol: str, frame: pd.DataFrame, seconds: float) -> Finding:
    """Return runs of equal closes that are too long for chance, and of equal whole bars."""
    closes = frame["close"].to_numpy(np.float64)
    same = closes[1:] == closes[:-1]
    begins, lengths = _runs(same)
    alone = max(int((~same).sum()), 1)
    share = max(len(begins) / alone, _LEAST_REPEATS)
    least = _DAILY_RUN if seconds > _SHORT else _INTRADAY_RUN
    if share < 0.5:
        least = max(least, int(np.ceil(log(_RARE / len(closes)) / log(share))))
    found = {int(b): int(n) for b, n in zip(begins, lengths, strict=True) if n >= least}
    # A whole bar that comes again, with its volume, is no chance in bars of a day.
    again = same.copy()
    for name in ("open", "high", "low", "volume"):
        column = frame[name].to_numpy(np.float64)
        again &= column[1:] == column[:-1]
    again &= (frame["high"] > frame["low"]).to_numpy()[1:] & (frame["volume"] > 0).to_numpy()[1:]
    begins, lengths = _runs(again)
    fewest = 1 if seconds > _SHORT else _DAILY_RUN
    if len(begins) <= max(3, 0.01 * len(closes)):
        for b, n in zip(begins.tolist(), lengths.tolist(), strict=True):
            if n >= fewest:
                found.setdefault(b, n)
    bars = sorted(found)
    return finding("stale", symbol, bars, [found[b] + 1 for b in bars], grave=True)


def _runs(flags: Bools) -> tuple[Ints, Ints]:
    """Return the begins of runs of true flags, and their lengths."""
    edges = np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8))
    begins = np.flatnonzero(edges == 1)
    return begins, np.flatnonzero(edges == -1) - begins


def _without_volume(symbol: str, frame: pd.DataFrame) -> Finding:
    none = np.flatnonzero(frame["volume"].to_numpy(np.float64) == 0)
    if len(none) < len(frame):
        return finding("zero_volume", symbol, none)
    return finding("zero_volume", symbol, (), note="no bar has a volume.")
