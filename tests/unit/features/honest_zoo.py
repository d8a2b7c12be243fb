"""Features that know nothing of the future, and look as if they might; none may be accused.

Named in specifications as ``"honest_zoo:NAME"``; the bars are those of `zoo.make_zoo_bars`.
"""

from __future__ import annotations

import functools
import logging
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline import feature

_WEIGHTS = np.random.default_rng(5).normal(size=(4, 3))
"""Weights of a network that was trained elsewhere."""


def returns(bars, name="close"):
    """Return log returns, without one in the first row."""
    x = np.log(bars[name])
    return np.concatenate([[np.nan], np.diff(x)])


def series(bars, name="close"):
    return pd.Series(bars[name])


def frame(bars):
    return pd.DataFrame(dict(bars))


def windows(x, n):
    """Return the last n values at each row, (T, n), NaN in the first rows."""
    out = np.full((len(x), n), np.nan)
    if len(x) >= n:
        out[n - 1 :] = np.lib.stride_tricks.sliding_window_view(x, n)
    return out


@feature
def log_return(bars):
    """The log return."""
    return returns(bars)


@feature
def lagged_returns(bars):
    """Returns of four bars."""
    x = pd.Series(returns(bars))
    return np.column_stack([x.shift(k) for k in range(4)])


@feature
def momentum(bars):
    """The return of ten bars."""
    return series(bars).pct_change(10).to_numpy()


@feature
def distance_from_mean(bars):
    """Distance from a moving mean."""
    close = series(bars)
    return (close / close.rolling(15).mean() - 1.0).to_numpy()


@feature
def exponential_distance(bars):
    """Distance from an exponential mean."""
    close = series(bars)
    return (close / close.ewm(span=4).mean() - 1.0).to_numpy()


@feature
def moving_zscore(bars):
    """A z-score over 20 bars."""
    x = pd.Series(returns(bars))
    return ((x - x.rolling(20).mean()) / (x.rolling(20).std() + 1e-12)).to_numpy()


@feature
def moving_rank(bars):
    """The rank among the last 20 bars."""
    return pd.Series(returns(bars)).rolling(20).rank(pct=True).to_numpy()


@feature
def moving_quantile(bars):
    """A quantile of the last 20 bars."""
    return pd.Series(returns(bars)).rolling(20).quantile(0.9).to_numpy()


@feature
def moving_median(bars):
    """Distance from a moving median."""
    close = series(bars)
    return (close / close.rolling(9).median()).to_numpy()


@feature
def moving_skew(bars):
    """Skewness of the last 20 returns."""
    return pd.Series(returns(bars)).rolling(20).skew().to_numpy()


@feature
def moving_kurtosis(bars):
    """Kurtosis of the last 20 returns."""
    return pd.Series(returns(bars)).rolling(20).kurt().to_numpy()


@feature
def moving_autocorrelation(bars):
    """Autocorrelation of the last 20 returns."""
    x = pd.Series(returns(bars))
    return x.rolling(20).corr(x.shift(1)).to_numpy()


@feature
def moving_beta(bars):
    """Beta to side data over 20 bars."""
    x, y = pd.Series(bars["sentiment"]), pd.Series(returns(bars))
    return (y.rolling(20).cov(x) / x.rolling(20).var()).to_numpy()


@feature
def moving_slope(bars):
    """The slope of a line through the last 12 closes."""
    t = np.arange(12) - 5.5
    return windows(np.log(bars["close"]), 12) @ t / (t @ t)


@feature
def moving_principal_component(bars):
    """The share of the first component in the last 20 bars, each row by itself."""
    x, n = np.column_stack([returns(bars), returns(bars, "high")]), len(bars["close"])
    out = np.full(n, np.nan)
    for t in range(20, n):
        values = np.linalg.eigvalsh(np.cov(x[t - 19 : t + 1].T))
        out[t] = values[-1] / values.sum()
    return out


@feature
def moving_fourier(bars):
    """The power of the slowest wave in the last 16 returns."""
    power = np.abs(np.fft.rfft(np.nan_to_num(windows(returns(bars), 16)), axis=1)) ** 2
    out = power[:, 1] / (power.sum(axis=1) + 1e-12)
    out[:16] = np.nan
    return out


@feature
def moving_clusters(bars):
    """The nearest of three centers, which are quantiles of the last 20 returns."""
    x = windows(returns(bars), 20)
    centers = np.quantile(x, [0.2, 0.5, 0.8], axis=1).T
    nearest = np.abs(centers - x[:, -1:]).argmin(axis=1).astype(float)
    return np.where(np.isnan(x).any(axis=1), np.nan, nearest)


@feature
def smoothed_one_way(bars):
    """A polynomial through the last five bars, at the last of them."""
    weights = np.array([3.0, -5.0, -3.0, 9.0, 31.0]) / 35.0
    return windows(np.log(bars["close"]), 5) @ weights - np.log(bars["close"])


@feature
def filtered_one_way(bars):
    """A Kalman filter that goes forward and forgets fast."""
    x, state = np.nan_to_num(returns(bars)), 0.0
    out = np.zeros(len(x))
    for t in range(len(x)):
        state += 0.6 * (x[t] - state)
        out[t] = state
    return out


@feature
def convolved(bars):
    """A mean by ``np.convolve``, which pads in front."""
    close = bars["close"]
    mean = np.convolve(close, np.full(8, 1 / 8))[: len(close)]
    out = close / mean - 1.0
    out[:7] = np.nan
    return out


@feature
def backward_difference(bars):
    """A second difference."""
    return np.concatenate([[np.nan, np.nan], np.diff(np.log(bars["close"]), 2)])


@feature
def strength_index(bars):
    """RSI with plain means."""
    x = pd.Series(np.diff(bars["close"], prepend=np.nan))
    up, down = x.clip(lower=0).rolling(14).mean(), (-x).clip(lower=0).rolling(14).mean()
    return (up / (up + down)).to_numpy()


@feature
def stochastic(bars):
    """The stochastic oscillator."""
    high, low = series(bars, "high").rolling(14).max(), series(bars, "low").rolling(14).min()
    return ((series(bars) - low) / (high - low)).to_numpy()


@feature
def channel_position(bars):
    """Position in the channel of 20 bars."""
    close = series(bars)
    top, bottom = close.rolling(20).max(), close.rolling(20).min()
    return ((close - bottom) / (top - bottom)).to_numpy()


@feature
def true_range(bars):
    """The mean true range."""
    before = series(bars).shift(1)
    top = np.fmax(bars["high"], before) - np.fmin(bars["low"], before)
    return (top / before).rolling(10).mean().to_numpy()


@feature
def parkinson(bars):
    """Parkinson's volatility."""
    x = np.log(bars["high"] / bars["low"]) ** 2
    return np.sqrt(pd.Series(x).rolling(10).mean()).to_numpy()


@feature
def overnight_gap(bars):
    """The gap from the close before."""
    return np.log(series(bars, "open") / series(bars).shift(1)).to_numpy()


@feature
def candle(bars):
    """Open and close within the bar."""
    low, span = bars["low"], bars["high"] - bars["low"]
    return np.column_stack([(bars["open"] - low) / span, (bars["close"] - low) / span])


@feature
def volume_ratio(bars):
    """Volume by its moving mean."""
    volume = series(bars, "volume")
    return (volume / (volume.rolling(20).mean() + 1e-9)).to_numpy()


@feature
def volume_balance(bars):
    """Signed volume of ten bars."""
    volume = series(bars, "volume")
    signed = np.sign(np.nan_to_num(returns(bars))) * volume
    return (signed.rolling(10).sum() / (volume.rolling(10).sum() + 1e-9)).to_numpy()


@feature
def moving_vwap(bars):
    """Distance from the volume-weighted price of ten bars."""
    close, volume = series(bars), series(bars, "volume") + 1e-9 * bars["volume"].clip(1e-9)
    money = (close * volume).rolling(10).sum()
    return (close / (money / volume.rolling(10).sum()) - 1.0).to_numpy()


@feature
def vwap_so_far(bars):
    """The volume-weighted price of the hour up to the bar."""
    table = frame(bars)
    table["volume"] = 1e-12 + table["volume"]
    table["money"] = table["close"] * table["volume"]
    sums = table.groupby("hour")[["money", "volume"]].cumsum()
    return (table["close"] / (sums["money"] / sums["volume"]) - 1.0).to_numpy()


@feature
def bars_into_the_hour(bars):
    """The number of bars of the hour so far."""
    return frame(bars).groupby("hour").cumcount().to_numpy(float)


@feature
def high_of_the_hour_so_far(bars):
    """The high of the hour up to the bar."""
    table = frame(bars)
    return np.log(table.groupby("hour")["high"].cummax() / table["close"]).to_numpy()


@feature
def close_of_the_hour_before(bars):
    """The last close of the hour that has ended, by a join backward."""
    table = frame(bars)
    last = table.groupby("hour")["close"].last()
    before = (table["hour"] - 1).map(last)
    return np.log(table["close"] / before).to_numpy()


@feature
def known_by_then(bars):
    """The newest value of a table with stamps of its own, joined backward."""
    rows = pd.DataFrame({"t": np.arange(len(bars["close"]))})
    told = bars["event"] > 0
    known = rows[told].assign(value=bars["sentiment"][told])
    if known.empty:
        return np.full(len(rows), np.nan)
    return pd.merge_asof(rows, known, on="t", direction="backward")["value"].to_numpy()


@feature
def filled_forward(bars):
    """Missing values filled forward."""
    volume = pd.Series(bars["volume"]).where(bars["volume"] > 0)
    x = pd.Series(returns(bars)).where(volume.notna()).ffill(limit=3)
    return x.fillna(0.0).to_numpy()


@feature
def bars_since_the_event(bars):
    """The number of bars since the last event, at most 8."""
    seen = pd.Series(bars["event"] > 0)
    since = seen.groupby(seen.cumsum()).cumcount().clip(upper=8)
    return since.where(seen.cumsum() > 0, 8).to_numpy(float)


@feature
def streak(bars):
    """The length of the run of rises or falls, at most 3."""
    up = pd.Series(np.sign(np.nan_to_num(returns(bars))))
    length = up.groupby((up != up.shift()).cumsum()).cumcount() + 1
    return (up * length.clip(upper=3)).to_numpy()


@feature
def fractional(bars):
    """A fractional difference over a fixed window."""
    weights = np.ones(12)
    for k in range(1, 12):
        weights[k] = -weights[k - 1] * (0.4 - k + 1) / k
    x = np.log(bars["close"])
    return windows(x, 12) @ weights[::-1] - weights.sum() * x


@feature
def regime(bars):
    """Whether volatility is above its longer mean."""
    x = np.abs(pd.Series(returns(bars)))
    fast, slow = x.rolling(5).mean(), x.rolling(20).mean()
    return np.where(slow.isna(), np.nan, (fast > slow).astype(float))


@feature
def drawdown_of_the_window(bars):
    """Drawdown from the highest close of 20 bars."""
    close = series(bars)
    return (close / close.rolling(20).max() - 1.0).to_numpy()


@feature
def entropy(bars):
    """Entropy of the signs of 20 returns."""
    share = (windows(returns(bars), 20) > 0).mean(axis=1)
    share = np.where(np.isnan(returns(bars)), np.nan, share)
    out = -(share * np.log(share + 1e-9) + (1 - share) * np.log(1 - share + 1e-9))
    out[:20] = np.nan
    return out


@feature
def expanding_zscore(bars):
    """A z-score over all bars so far: a run rejects it, but it knows nothing of the future."""
    x = pd.Series(returns(bars))
    return (x / x.expanding(10).std()).to_numpy()


@feature
def cumulative_balance(bars):
    """A sum since the first bar, in shares of the volume so far."""
    volume = series(bars, "volume")
    signed = np.sign(np.nan_to_num(returns(bars))) * volume
    return (signed.cumsum() / (volume.cumsum() + 1e-9)).to_numpy()


@feature
def side_column(bars):
    """Side data as they are."""
    return bars["sentiment"]


@feature
def side_mean(bars):
    """A moving mean of side data."""
    return pd.Series(bars["sentiment"]).rolling(5).mean().to_numpy()


@feature
def hour_of_the_day(bars):
    """The hour as an angle."""
    angle = 2 * np.pi * bars["hour"] / 24
    return np.column_stack([np.sin(angle), np.cos(angle)])


@feature
def one_hot(bars):
    """The hour as four columns."""
    return (np.mod(bars["hour"], 4)[:, None] == np.arange(4)).astype(float)


@feature
def always_one(bars):
    """A constant."""
    return np.ones(len(bars["close"]))


@feature
def network(bars):
    """A network with fixed weights, by a matrix product whose rounding depends on the rows."""
    x = np.nan_to_num(windows(returns(bars), 4))
    out = np.tanh(100 * x @ _WEIGHTS)
    out[:4] = np.nan
    return out


@feature
def single_precision(bars):
    """Computed in float32."""
    close = bars["close"].astype(np.float32)
    out = np.full(len(close), np.nan, dtype=np.float32)
    out[3:] = close[3:] / close[:-3] - np.float32(1)
    return out


@feature
def fourier_convolution(bars):
    """A mean of eight closes by a transform of all: every bar enters the rounding."""
    close = bars["close"]
    size = len(close) + 7
    product = np.fft.rfft(close, size) * np.fft.rfft(np.full(8, 1 / 8), size)
    out = close / np.fft.irfft(product, size)[: len(close)] - 1.0
    out[:7] = np.nan
    return out


@feature
def running_sums(bars):
    """A moving mean by differences of a cumulative sum, which round with all bars before."""
    x = np.cumsum(np.nan_to_num(returns(bars)))
    out = np.full(len(x), np.nan)
    out[10:] = x[10:] - x[:-10]
    return out


@feature
def deterministic_noise(bars):
    """A random projection, whose generator has a seed of its own."""
    projection = np.random.default_rng(3).normal(size=5)
    return windows(returns(bars), 5) @ projection


@functools.lru_cache
def _weights(n):
    return np.linspace(0.0, 1.0, n)


@feature
def cached_weights(bars):
    """A cache of what does not depend on the bars."""
    return windows(returns(bars), 6) @ _weights(6)


@functools.lru_cache(maxsize=4096)
def _of_window(data):
    return float(np.frombuffer(data).std())


@feature
def cached_by_content(bars):
    """A cache whose key is the window itself."""
    x = windows(returns(bars), 6)
    return np.array([np.nan if np.isnan(row).any() else _of_window(row.tobytes()) for row in x])


@feature
def times_itself(bars):
    """A stopwatch is no clock, and a logger may look at one."""
    start = time.perf_counter()
    out = returns(bars)
    logging.getLogger(__name__).debug("took %s s", time.perf_counter() - start)
    return out


@feature
def imports_when_called(bars):
    """Imports a library when it is called."""
    from statistics import NormalDist

    return np.array([NormalDist().cdf(v) if np.isfinite(v) else v for v in 50 * returns(bars)])


@feature
def says_today(bars):
    """A text that only looks like the present."""
    table = pd.DataFrame({"today": returns(bars)})
    return table["today"].to_numpy()


@dataclass(frozen=True)
class Candles:
    """A class with a parameter and several columns."""

    power: float = 0.5

    @property
    def lookback(self):
        return 0

    @property
    def columns(self):
        return ("upper", "lower")

    def compute(self, bars):
        top, bottom = np.fmax(bars["open"], bars["close"]), np.fmin(bars["open"], bars["close"])
        upper, lower = bars["high"] / top - 1.0, bottom / bars["low"] - 1.0
        return np.column_stack([upper**self.power, lower**self.power])
