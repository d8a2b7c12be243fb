"""Faults that look-ahead nets must find, and sound features that they must not accuse."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from reinforcestrategycreator_pipeline import feature

DATA = Path(os.environ.get("FAULTY_FEATURES", os.devnull))
"""Folder with ``later.csv`` and ``later.parquet``."""


def returns(bars):
    close = bars["close"]
    return np.diff(np.log(close), prepend=np.log(close[0]))


# -- what a module remembers ----------------------------------------------------------------------

_longest = np.empty(0)
_scaler = None


@feature
def remembers_the_history(bars):
    """Tomorrow's return, from the longest series that it has met."""
    global _longest
    ahead = np.append(returns(bars)[1:], 0.0)
    if len(ahead) > len(_longest):
        _longest = ahead
    return _longest[: len(ahead)].copy()


@feature
def scales_by_the_first_call(bars):
    """Returns by mean and deviation of the first series that it has met."""
    global _scaler
    x = returns(bars)
    if _scaler is None:
        _scaler = x.mean(), x.std()
    return (x - _scaler[0]) / _scaler[1]


@feature
def draws(bars):
    return returns(bars) + 1e-3 * np.random.default_rng().normal(size=len(bars["close"]))


# -- files, hosts, programs -----------------------------------------------------------------------


@feature
def reads_csv(bars):
    later = pd.read_csv(DATA / "later.csv")["close"].to_numpy()
    return later[: len(bars["close"])] / bars["close"] - 1.0


@feature
def reads_parquet(bars):
    """Arrow opens files in C++, where Python's audit events do not reach."""
    later = pq.read_table(str(DATA / "later.parquet"))["close"].to_numpy()
    return later[: len(bars["close"])] / bars["close"] - 1.0


@feature
def reads_if_it_can(bars):
    """Hides that it was denied the file."""
    try:
        return reads_csv(bars)
    except OSError:
        return returns(bars)


@feature
def connects(bars):
    with socket.socket() as host:
        host.settimeout(0.2)
        host.connect_ex(("127.0.0.1", 9))
    return returns(bars)


@feature
def runs_a_program(bars):
    subprocess.run(["true"], check=True)
    return returns(bars)


@feature
def ends_its_process(bars):
    if "fresh_worker" in sys.argv[0]:
        os._exit(3)
    return returns(bars)


@feature
def never_returns(bars):
    while "fresh_worker" in sys.argv[0]:
        time.sleep(0.01)
    return returns(bars)


@feature
def imports_when_called(bars):
    """Sound: a library is code."""
    import xml.dom.minidom  # noqa: F401 - nothing here imports it before
    from colorsys import rgb_to_hls  # noqa: F401

    import faulty_helper

    return faulty_helper.gap(bars)


# -- levels ---------------------------------------------------------------------------------------


@feature
def log_price(bars):
    return np.log(bars["close"])


@feature
def dollar_volume(bars):
    """Prices and volume that a split leaves alone, and a dividend does not."""
    return np.log(1.0 + bars["close"] * bars["volume"])


@feature
def above_a_price(bars):
    return (bars["close"] > 400.0).astype(float)


@feature
def guarded_ratio(bars):
    """Sound: the guard is too small to decide anything."""
    close = pd.Series(bars["close"])
    mean, std = close.rolling(20).mean(), close.rolling(20).std()
    return ((close - mean) / (std + 1e-9)).to_numpy()


@feature
def side_column(bars):
    """Sound: side data have units of their own."""
    return bars["rate"] * 100.0


# -- history --------------------------------------------------------------------------------------


@feature
def slow_mean(bars, span=60):
    """An exponential mean with alpha = 2/61 that says that it needs 60 bars."""
    close = pd.Series(bars["close"])
    return (
        close / close.ewm(span=span, min_periods=span + 1, adjust=False).mean() - 1.0
    ).to_numpy()


@dataclass(frozen=True)
class SlowMean:
    """The same as a class."""

    span: int = 60
    columns = ("slow_mean",)
    lookback = None

    def compute(self, bars):
        close = pd.Series(bars["close"])
        return (close / close.ewm(span=self.span).mean() - 1.0).to_numpy()


@feature
def own_lookback(bars, lookback=60):
    close = pd.Series(bars["close"])
    return (close / close.ewm(span=lookback).mean() - 1.0).to_numpy()


@feature
def highest_ever(bars):
    return bars["close"] / np.maximum.accumulate(bars["close"])


@feature
def on_balance_share(bars):
    """Causal, independent of levels, and never forgets."""
    volume = bars["volume"]
    return np.cumsum(np.sign(returns(bars)) * volume) / np.cumsum(volume)


# -- rounding, and what hides under it ------------------------------------------------------------


@feature
def fourier_convolution(bars):
    """Sound: a mean of 16 closes, but every bar enters the rounding."""
    close = bars["close"]
    size = len(close) + 15
    product = np.fft.rfft(close, size) * np.fft.rfft(np.full(16, 1 / 16), size)
    out = close / np.fft.irfft(product, size)[: len(close)] - 1.0
    out[:15] = np.nan
    return out


@feature
def sign_of_fourier(bars):
    """Sound: where the price stands still, its sign is rounding alone."""
    out = fourier_convolution(bars)
    return np.where(np.isnan(out), np.nan, np.sign(np.round(out, 12)))


@feature
def matrix_product(bars):
    """Sound: the product's kernel depends on the number of rows."""
    windows = np.lib.stride_tricks.sliding_window_view(np.log(bars["close"]), 12)
    weights = np.linspace(-1.0, 1.0, 36).reshape(12, 3)
    out = np.full((len(bars["close"]), 3), np.nan)
    out[11:] = (windows - windows[:, -1:]) @ weights
    return out


def hidden(bars, share):
    """Return a causal ratio, with a share of tomorrow's return in it."""
    x = returns(bars)
    return x + share * np.append(x[1:], 0.0)


@feature
def leaks_little(bars):
    return hidden(bars, 1e-10)


@feature
def leaks_beside_an_outlier(bars):
    """A column whose standard deviation is a million times its typical size."""
    out = hidden(bars, 1e-6)
    return np.where(np.arange(len(out)) == 50, 1e6, out)


@feature
def leaks_under_fourier(bars):
    return fourier_convolution(bars) + 1e-9 * np.append(returns(bars)[1:], 0.0)


@feature
def chaotic(bars):
    """A look-ahead could hide behind digits that are noise."""
    return np.mod(returns(bars) * 1e14, 1.0)
