"""Features as a user writes them, sound and unsound; named in specs as "user_features:...".

The unsound ones hold the look-aheads that people really write.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline import feature


@feature
def momentum(bars, period=5):
    close = bars["close"]
    out = np.full(len(close), np.nan)
    out[period:] = close[period:] / close[:-period] - 1.0
    return out


@feature
def two_columns(bars):
    return np.column_stack([bars["high"] / bars["close"], bars["low"] / bars["close"]])


@feature
def declared(bars):
    return bars["close"] / bars["open"]


declared.lookback = 7


@feature
def own_lookback(bars, lookback):
    return momentum(bars, lookback)


@feature
def anything(bars, **params):
    return params["factor"] * declared(bars)


@dataclass(frozen=True)
class Gap:
    """Opening gap as a dataclass feature that lives outside the package."""

    power: int = 1

    @property
    def lookback(self):
        return 1

    @property
    def columns(self):
        return (f"gap_{self.power}",)

    def compute(self, bars):
        out = np.full((len(bars["close"]), 1), np.nan)
        out[1:, 0] = np.log(bars["open"][1:] / bars["close"][:-1]) ** self.power
        return out


not_callable = 3


@feature
def short_by_one(bars):
    return bars["close"][1:]


@feature
def three_dimensional(bars):
    return np.ones((len(bars["close"]), 1, 1))


@feature
def words(bars):
    return np.array(["x"] * len(bars["close"]))


@feature
def hole(bars):
    out = bars["close"] / bars["open"]
    out[30] = np.nan
    return out


@feature
def infinite(bars):
    out = bars["close"] / bars["open"]
    out[31] = np.inf
    return out


@feature
def raises(bars):
    raise KeyError("sentiment index")


@feature
def writes(bars):
    bars["close"][0] = 1.0
    return bars["close"]


@feature
def changes_width(bars):
    return np.ones((len(bars["close"]), 1 + len(bars["close"]) % 2))


@feature
def decaying(bars):
    """An exponential mean of all bars before, whatever lookback is declared."""
    close = pd.Series(bars["close"])
    return (close / close.ewm(span=20).mean()).to_numpy()


@feature
def running_mean(bars):
    close = pd.Series(bars["close"])
    return (close / close.rolling(20).mean()).to_numpy()


@feature
def needs_ten_bars(bars):
    if len(bars["close"]) < 10:
        raise IndexError("too few bars")
    return np.where(np.arange(len(bars["close"])) < 3, np.nan, bars["close"] / bars["open"])


# ---- look-aheads ------------------------------------------------------------------------------


@feature
def centred_mean(bars):
    close = pd.Series(bars["close"])
    return (close / close.rolling(5, center=True, min_periods=1).mean()).to_numpy()


@feature
def shifted(bars):
    returns = pd.Series(bars["close"]).pct_change().fillna(0.0)
    return returns.shift(-1, fill_value=0.0).to_numpy()


@feature
def backfilled(bars):
    sparse = pd.Series(bars["close"]).pct_change()
    sparse[np.arange(len(sparse)) % 10 != 0] = np.nan
    return sparse.bfill().fillna(0.0).to_numpy()


@feature
def full_sample_scaled(bars):
    returns = np.diff(np.log(bars["close"]), prepend=np.log(bars["close"][0]))
    return (returns - returns.mean()) / (returns.std() + 1e-9)


@feature
def full_sample_maximum(bars):
    return bars["close"] / bars["close"].max()


@feature
def fourier_smoothed(bars):
    spectrum = np.fft.rfft(np.log(bars["close"]))
    spectrum[len(spectrum) // 2 :] = 0.0
    return np.fft.irfft(spectrum, len(bars["close"]))


@feature
def rare_leak(bars):
    """Looks one bar ahead in 1% of the rows, and there alone."""
    close = bars["close"]
    out = close / bars["open"]
    rows = np.arange(37, len(close) - 1, 100)
    out[rows] = close[rows + 1] / close[rows]
    return out


@feature
def one_row_leak(bars):
    close = bars["close"]
    out = close / bars["open"]
    if len(close) > 112:
        out[111] = close[112] / close[111]
    return out


@feature
def distant_leak(bars):
    """Looks 50 bars ahead where there are so many, else at a causal value."""
    close = bars["close"]
    out = close / bars["open"]
    out[:-50] = close[50:] / close[:-50]
    return out


@feature
def leak_that_hides_from_cuts(bars):
    """Looks ahead only when it is given the whole series, and when cut pretends the same value."""
    close = bars["close"]
    global _remembered
    if _remembered is None:
        _remembered = np.append(close[1:] / close[:-1], 1.0)
    if len(close) < len(_remembered):
        return _remembered[: len(close)].copy()
    return np.append(close[1:] / close[:-1], 1.0)


_remembered = None


@feature
def last_bar_differs(bars):
    """Treats the last bar of the series in another way, by little."""
    out = bars["close"] / bars["open"]
    out[-1] *= 1.0 + 1e-10
    return out
