"""Features that know the future, one for each way in which people make them.

Named in specifications as ``"leak_zoo:NAME"``. The bars are those of `zoo.make_zoo_bars`: six bars
an hour, in the column ``hour``; ``volume`` is 0 on some; ``event`` marks a few bars, and
``estimate`` is a value that is revised there.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline import feature

LATER = Path(os.environ.get("ZOO_FOLDER", os.devnull))
"""Folder with ``later.csv`` and ``later.npy``: the closes of all bars."""


def returns(bars, name="close"):
    x = np.log(bars[name])
    return np.diff(x, prepend=x[0])


def series(bars, name="close"):
    return pd.Series(bars[name])


def frame(bars):
    return pd.DataFrame(dict(bars))


def ahead(x, k=1, fill=0.0):
    """Return x of k bars later, and `fill` at the end."""
    out = np.full(len(x), fill)
    out[: len(x) - k] = x[k:]
    return out


# -- windows and shifts ----------------------------------------------------------------------------


@feature
def centered_mean(bars):
    """A mean over two bars before and two after."""
    close = series(bars)
    return (close / close.rolling(5, center=True, min_periods=1).mean()).to_numpy()


@feature
def centered_median(bars):
    """A median over three bars before and three after."""
    close = series(bars)
    return (close / close.rolling(7, center=True, min_periods=1).median()).to_numpy()


@feature
def forward_window_maximum(bars):
    """The highest close of the next bars."""
    close = series(bars)
    window = pd.api.indexers.FixedForwardWindowIndexer(window_size=5)
    return (close.rolling(window, min_periods=1).max() / close).to_numpy()


@feature
def forward_window_low(bars):
    """The lowest low of the next bars, by a reversed series."""
    low = series(bars, "low")[::-1].rolling(10, min_periods=1).min()[::-1]
    return (low / series(bars)).to_numpy()


@feature
def next_return(bars):
    """The return of one bar later: a shift by -1."""
    return ahead(returns(bars))


@feature
def next_open(bars):
    """The price at which the order fills."""
    return np.log(np.append(bars["open"][1:], bars["close"][-1]) / bars["close"])


@feature
def next_high(bars):
    """The next bar's high."""
    return np.log(np.append(bars["high"][1:], bars["high"][-1]) / bars["high"])


@feature
def next_low(bars):
    """The next bar's low."""
    return np.log(np.append(bars["low"][1:], bars["low"][-1]) / bars["low"])


@feature
def next_volume(bars):
    """The next bar's volume."""
    volume = 1.0 + bars["volume"]
    return np.append(volume[1:], volume[-1]) / (volume + np.append(volume[1:], volume[-1]))


@feature
def shift_in_time_labels(bars):
    """A frame joined with its own copy, whose labels are a bar late."""
    x = pd.Series(returns(bars))
    late = pd.Series(x.to_numpy(), index=x.index - 1, name="late")
    return x.to_frame("x").join(late)["late"].fillna(0.0).to_numpy()


@feature
def rolled(bars):
    """``np.roll`` by -1."""
    return np.roll(returns(bars), -1)


@feature
def percent_change_backward(bars):
    """``pct_change(-1)``."""
    return series(bars).pct_change(-1).fillna(0.0).to_numpy()


@feature
def lagging_span(bars):
    """Ichimoku's chikou span as charts draw it, 26 bars back."""
    close = bars["close"]
    return np.log(np.append(close[26:], np.repeat(close[-1], min(26, len(close))))[: len(close)]
                  / close)  # fmt: skip


@feature
def detrended_price(bars):
    """The detrended price oscillator as charts draw it, centered."""
    close = series(bars)
    mean = close.rolling(20).mean().shift(-11)
    return (close / mean - 1.0).fillna(0.0).to_numpy()


# -- filling and joining ---------------------------------------------------------------------------


@feature
def filled_backward(bars):
    """``bfill`` of values known every tenth bar."""
    x = pd.Series(returns(bars))
    x[np.arange(len(x)) % 10 != 9] = np.nan
    return x.bfill().fillna(0.0).to_numpy()


@feature
def interpolated(bars):
    """Interpolation between values known every fourth bar."""
    x = pd.Series(returns(bars))
    x[np.arange(len(x)) % 4 != 0] = np.nan
    return x.interpolate().ffill().bfill().to_numpy()


@feature
def filled_with_the_mean(bars):
    """Missing values filled with the mean of all."""
    x = pd.Series(returns(bars)).where(bars["volume"] > 0)
    return x.fillna(x.mean()).fillna(0.0).to_numpy()


@feature
def nearest_merge(bars):
    """``merge_asof`` with the nearest row, which may be later."""
    rows = pd.DataFrame({"t": np.arange(len(bars["close"]))})
    known = rows[rows["t"] % 7 == 3].assign(value=returns(bars)[rows["t"] % 7 == 3])
    if known.empty:
        return np.zeros(len(rows))
    return pd.merge_asof(rows, known, on="t", direction="nearest")["value"].to_numpy()


@feature
def forward_merge(bars):
    """``merge_asof`` with the next row."""
    rows = pd.DataFrame({"t": np.arange(len(bars["close"]))})
    known = rows[rows["t"] % 9 == 8].assign(value=returns(bars)[rows["t"] % 9 == 8])
    if known.empty:
        return np.zeros(len(rows))
    merged = pd.merge_asof(rows, known, on="t", direction="forward")["value"]
    return merged.fillna(0.0).to_numpy()


@feature
def resampled_label(bars):
    """The hour's close, at each bar of the hour."""
    table = frame(bars)
    last = table.groupby("hour")["close"].transform("last")
    return np.log(last / table["close"]).to_numpy()


@feature
def hour_high(bars):
    """The high of the whole hour, at each bar of it."""
    table = frame(bars)
    return np.log(table.groupby("hour")["high"].transform("max") / table["close"]).to_numpy()


@feature
def bars_left_in_the_hour(bars):
    """The number of bars that the hour will still have."""
    hours = frame(bars).groupby("hour")["close"]
    return (hours.transform("size") - hours.cumcount()).to_numpy(float)


@feature
def group_size(bars):
    """The number of bars of the hour."""
    return frame(bars).groupby("hour")["close"].transform("size").to_numpy(float)


@feature
def total_vwap(bars):
    """The volume-weighted price of the whole hour, instead of that up to the bar."""
    table = frame(bars).assign(volume=bars["volume"] + 1.0)
    table["money"] = table["close"] * table["volume"]
    sums = table.groupby("hour")[["money", "volume"]].transform("sum")
    return (table["close"] / (sums["money"] / sums["volume"]) - 1.0).to_numpy()


@feature
def bars_to_the_next_event(bars):
    """The number of bars until the next event."""
    at = np.flatnonzero(bars["event"] > 0)
    place = np.searchsorted(at, np.arange(len(bars["event"])))
    return np.append(at, len(bars["event"]))[place] - np.arange(len(bars["event"]), dtype=float)


@feature
def value_as_revised(bars):
    """An estimate as it was revised at the next event, instead of as it was known."""
    known = pd.Series(bars["estimate"]).where(bars["event"] > 0)
    return known.bfill().fillna(0.0).to_numpy()


@feature
def last_duplicate_kept(bars):
    """One value for each hour, of duplicates the last."""
    table = frame(bars).assign(x=returns(bars))
    last = table.drop_duplicates("hour", keep="last").set_index("hour")["x"]
    return table["hour"].map(last).to_numpy()


# -- the whole sample ------------------------------------------------------------------------------


@feature
def scaled_by_the_sample(bars):
    """Mean and deviation of all bars."""
    x = returns(bars)
    return (x - x.mean()) / (x.std() + 1e-12)


@feature
def scaled_to_the_range(bars):
    """Minimum and maximum of all bars."""
    close = bars["close"]
    return (close - close.min()) / (np.ptp(close) + 1e-9 * close)


@feature
def rank_in_the_sample(bars):
    """The rank among all bars."""
    return pd.Series(returns(bars)).rank(pct=True).to_numpy()


@feature
def quantile_of_the_sample(bars):
    """The fifth of all bars that the bar is in."""
    x = returns(bars)
    return np.searchsorted(np.quantile(x, [0.2, 0.4, 0.6, 0.8]), x).astype(float)


@feature
def clipped_by_the_sample(bars):
    """Clipped to quantiles of all bars."""
    x = returns(bars)
    return np.clip(x, *np.quantile(x, [0.01, 0.99]))


@feature
def outliers_of_the_sample(bars):
    """Outliers removed by the median deviation of all bars."""
    x = returns(bars)
    spread = np.median(np.abs(x - np.median(x))) + 1e-12
    return np.where(np.abs(x) > 4 * spread, 0.0, x)


@feature
def highest_of_the_sample(bars):
    """The close relative to the highest of all."""
    return bars["close"] / bars["close"].max()


@feature
def softmax_of_the_sample(bars):
    """Exponentials divided by the sum of all."""
    x = np.exp(returns(bars))
    return len(x) * x / x.sum()


@feature
def principal_component(bars):
    """A principal component fitted on all bars."""
    x = np.column_stack([np.roll(returns(bars), k) for k in range(4)])
    x[:4] = 0.0
    if len(x) < 6:
        return np.zeros(len(x))
    _, vectors = np.linalg.eigh(np.cov(x.T) + 1e-12 * np.eye(4))
    return x @ (vectors[:, -1] * np.sign(vectors[0, -1] + 1e-300))


@feature
def clustered(bars):
    """Three centers of all returns, by Lloyd's algorithm."""
    x = returns(bars)
    centers = np.quantile(x, [0.1, 0.5, 0.9])
    for _ in range(5):
        mine = np.abs(x[:, None] - centers).argmin(axis=1)
        centers = np.array([x[mine == c].mean() if (mine == c).any() else centers[c]
                            for c in range(3)])  # fmt: skip
    return x - centers[np.abs(x[:, None] - centers).argmin(axis=1)]


@feature
def regression_residual(bars):
    """The residual of a line through all closes."""
    y, t = np.log(bars["close"]), np.arange(len(bars["close"]), dtype=float)
    if len(t) < 3:
        return np.zeros(len(t))
    return y - np.polyval(np.polyfit(t, y, 1), t)


@feature
def beta_of_the_sample(bars):
    """The residual of a regression on side data over all bars."""
    x, y = bars["sentiment"], returns(bars)
    return y - (x @ y) / (x @ x) * x


@feature
def fourier_smoothed(bars):
    """A Fourier transform of all bars, without fast waves."""
    x = returns(bars)
    spectrum = np.fft.rfft(x)
    spectrum[len(spectrum) // 4 + 1 :] = 0.0
    return np.fft.irfft(spectrum, len(x))


@feature
def phase_of_the_sample(bars):
    """Hilbert's transform, by which a cycle's phase is found."""
    x = returns(bars)
    weights = np.zeros(len(x))
    weights[0] = 1.0
    weights[1 : (len(x) + 1) // 2] = 2.0
    return np.angle(np.fft.ifft(np.fft.fft(x) * weights) + 1e-12)


@feature
def haar_smoothed(bars):
    """Means of blocks of eight bars, at each of their bars."""
    x = pd.Series(returns(bars))
    return x.groupby(np.arange(len(x)) // 8).transform("mean").to_numpy()


@feature
def smoothed_both_ways(bars):
    """An exponential mean forward, then backward, against its lag."""
    x = pd.Series(returns(bars)).ewm(alpha=0.3).mean()
    return x[::-1].ewm(alpha=0.3).mean()[::-1].to_numpy()


@feature
def polynomial_smoothed(bars):
    """Savitzky and Golay's filter over five bars, centered."""
    x = np.pad(returns(bars), 2, mode="edge")
    return np.convolve(x, np.array([-3.0, 12.0, 17.0, 12.0, -3.0]) / 35.0, mode="valid")


@feature
def kernel_smoothed(bars):
    """A Gaussian kernel that reaches both ways."""
    t, x = np.arange(len(bars["close"]), dtype=float), returns(bars)
    weights = np.exp(-0.5 * ((t[:, None] - t) / 2.0) ** 2)
    return (weights @ x) / weights.sum(axis=1)


@feature
def kalman_smoothed(bars):
    """A Kalman filter forward, then the smoother backward."""
    x, gain, back = returns(bars), 0.3, 0.5
    state = np.zeros(len(x))
    for t in range(1, len(x)):
        state[t] = state[t - 1] + gain * (x[t] - state[t - 1])
    for t in range(len(x) - 2, -1, -1):
        state[t] += back * (state[t + 1] - state[t])
    return state


@feature
def gradient(bars):
    """``np.gradient``, whose differences are central."""
    y = np.log(bars["close"])
    return np.gradient(y) if len(y) > 1 else np.zeros(len(y))


@feature
def cumulative_from_the_end(bars):
    """A cumulative sum that begins with the last bar."""
    return np.cumsum(returns(bars)[::-1])[::-1]


@feature
def adjusted_from_the_end(bars):
    """Prices relative to the last one, as a vendor's file has them after a split."""
    return np.log(bars["close"] / bars["close"][-1])


@feature
def drawdown_to_come(bars):
    """The lowest close from the bar on."""
    close = bars["close"]
    return np.minimum.accumulate(close[::-1])[::-1] / close - 1.0


@feature
def share_of_all_volume(bars):
    """The running volume by the total."""
    return np.cumsum(bars["volume"]) / (bars["volume"].sum() + 1.0)


@feature
def price_profile(bars):
    """The share of all bars whose close is within 2% of this one."""
    close = bars["close"]
    return (np.abs(close[:, None] / close - 1.0) < 0.02).mean(axis=1)


# -- labels and choices ----------------------------------------------------------------------------


@feature
def chosen_by_later_returns(bars):
    """Of five lags, the one that correlates most with the next return."""
    x = returns(bars)
    target = ahead(x)
    lags = [np.concatenate([np.zeros(k), x[: len(x) - k]]) for k in range(min(5, len(x)))]
    return max(lags, key=lambda lag: abs(lag @ target))


@feature
def best_window_on_all_data(bars):
    """The momentum whose window would have earned most."""
    x = returns(bars)
    signals = [
        np.sign(pd.Series(x).rolling(k, min_periods=1).sum().to_numpy()) for k in range(2, 9)
    ]
    return max(signals, key=lambda signal: signal[:-1] @ x[1:])


@feature
def best_threshold_on_all_data(bars):
    """The threshold that would have earned most."""
    x = returns(bars)
    levels = np.linspace(-0.02, 0.02, 9)
    best = max(levels, key=lambda level: ((x > level)[:-1] * x[1:]).sum())
    return (x > best).astype(float)


@feature
def target_encoded(bars):
    """The mean next return of the bar's class."""
    x = returns(bars)
    table = pd.DataFrame({"kind": (x > 0).astype(int), "target": ahead(x)})
    return table.groupby("kind")["target"].transform("mean").to_numpy()


@feature
def fitted_values(bars):
    """What a regression on the past, fitted on all bars, says of the next return."""
    x = returns(bars)
    lags = np.column_stack([x, np.concatenate([[0.0], x[:-1]]), np.ones(len(x))])
    return lags @ np.linalg.lstsq(lags, ahead(x), rcond=None)[0]


@feature
def nearest_neighbors(bars):
    """The next return of the most similar bar of the whole sample, itself left out."""
    x = returns(bars)
    apart = np.abs(x[:, None] - x)
    np.fill_diagonal(apart, np.inf)
    return ahead(x)[apart.argmin(axis=1)]


@feature
def target_with_noise(bars):
    """A little of the next return in a causal ratio."""
    x = returns(bars)
    return x + 1e-6 * ahead(x)


@feature
def tiny(bars):
    """One ten-billionth of the next return in a causal ratio."""
    x = returns(bars)
    return x + 1e-10 * ahead(x)


@feature
def flips_its_sign(bars):
    """The size is causal; the sign is that of the next return."""
    x = returns(bars)
    return np.abs(x) * np.where(ahead(x) >= 0, 1.0, -1.0)


@feature
def pivots(bars):
    """Williams' fractals: a high between two lower ones on each side."""
    high = series(bars, "high")
    return (high == high.rolling(5, center=True).max()).to_numpy(float)


@feature
def zigzag(bars):
    """The direction of the leg that the bar is on, known once it has ended."""
    y = np.log(bars["close"])
    out, last, sign = np.zeros(len(y)), 0, 1.0
    for t in range(len(y)):
        if sign * (y[t] - y[last]) > 0:
            last = t
        elif abs(y[t] - y[last]) > 0.03:
            out[last:t] = -sign
            last, sign = t, -sign
    return out


@feature
def change_point(bars):
    """Whether the bar is after the largest break of the whole sample."""
    x = returns(bars)
    moved = np.abs(np.cumsum(x - x.mean()))
    return (np.arange(len(x)) > moved.argmax()).astype(float)


@feature
def likeliest_path(bars):
    """Viterbi's path through two regimes, which goes back from the end."""
    x = np.abs(returns(bars))
    cost = np.column_stack([x / 0.008, 0.016 / (x + 0.004)])
    total, come = cost[0].copy(), np.zeros((len(x), 2), dtype=int)
    for t in range(1, len(x)):
        stay = total[:, None] + 2.0 * (1.0 - np.eye(2))
        come[t] = stay.argmin(axis=0)
        total = stay.min(axis=0) + cost[t]
    path = np.zeros(len(x))
    state = int(total.argmin())
    for t in range(len(x) - 1, -1, -1):
        path[t], state = state, come[t, state]
    return path


# -- rows, lengths and positions -------------------------------------------------------------------


@feature
def depends_on_the_length(bars):
    """The number of bars as a factor."""
    x = returns(bars)
    return x * (1.0 + 1e-4 * len(x))


@feature
def parity_of_the_length(bars):
    """A sign that depends on whether the number of bars is even."""
    return returns(bars) * (-1.0) ** len(bars["close"])


@feature
def share_of_time(bars):
    """The position between the first and the last bar."""
    return np.linspace(0.0, 1.0, len(bars["close"]))


@feature
def bars_to_the_end(bars):
    """The number of bars until the last one."""
    n = len(bars["close"])
    return np.minimum(n - np.arange(n), 20.0)


@feature
def one_percent_of_the_bars(bars):
    """The next return on 1% of the bars."""
    x = returns(bars)
    rows = np.arange(37, len(x) - 1, 100)
    x[rows] = x[rows + 1]
    return x


@feature
def one_bar(bars):
    """The next return on one bar."""
    x = returns(bars)
    if len(x) > 92:
        x[91] = x[92]
    return x


@feature
def last_ten_bars(bars):
    """The last ten bars in reverse."""
    x = returns(bars)
    x[-10:] = x[-10:][::-1].copy()
    return x


@feature
def only_the_last_bar(bars):
    """Another value on the last bar."""
    x = returns(bars)
    x[-1] = 0.0
    return x


@feature
def each_seventh_bar(bars):
    """Part of the next return on every seventh bar."""
    x = returns(bars)
    rows = np.arange(6, len(x) - 1, 7)
    x[rows] += 0.1 * x[rows + 1]
    return x


@feature
def where_volume_is_missing(bars):
    """The next return where there is no volume."""
    x = returns(bars)
    return np.where(bars["volume"] == 0, ahead(x), x)


@feature
def on_special_days(bars):
    """The return of two bars later, on the bars of an event."""
    x = returns(bars)
    return np.where(bars["event"] > 0, ahead(x, 2), x)


@feature
def after_a_crash(bars):
    """The next return after a fall by 2%."""
    x = returns(bars)
    return np.where(x < -0.02, ahead(x), x)


@feature
def sleeps_until_a_crash(bars):
    """The next return after a fall by 20%, which these bars do not have."""
    x = returns(bars)
    return np.where(x < -0.2, ahead(x), x)


@feature
def sleeps_until_a_halt(bars):
    """The next return after a bar without a range, which these bars do not have."""
    x = returns(bars)
    return np.where(bars["high"] == bars["low"], ahead(x), x)


@feature
def sleeps_until_an_extreme(bars):
    """The next return where side data are at a new extreme."""
    x = returns(bars)
    return np.where(bars["sentiment"] == bars["sentiment"].max(), ahead(x, 2), x)


@feature
def one_of_five_columns(bars):
    """A leak in one column of five."""
    x = returns(bars)
    return np.column_stack([x, np.abs(x), x**2, bars["sentiment"] + 1e-3 * ahead(x), np.sign(x)])


@feature
def backward_recursion(bars):
    """A recursion from the last bar to the first."""
    x, out = returns(bars), np.zeros(len(bars["close"]))
    for t in range(len(x) - 2, -1, -1):
        out[t] = 0.5 * out[t + 1] + x[t + 1]
    return out


# -- memory ----------------------------------------------------------------------------------------

_longest = np.empty(0)
_scaler: list[float] = []


@feature
def module_memory(bars):
    """Tomorrow's return, from the longest series that the module has met."""
    global _longest
    known = ahead(returns(bars))
    if len(known) > len(_longest):
        _longest = known
    return _longest[: len(known)].copy()


@feature
def cached_scaler(bars):
    """A scaler fitted on the first series that the module has met."""
    x = returns(bars)
    if not _scaler:
        _scaler.extend([x.mean(), x.std() + 1e-12])
    return (x - _scaler[0]) / _scaler[1]


@functools.lru_cache
def _statistics(data):
    x = np.frombuffer(data)
    return x.mean(), x.std() + 1e-12


@feature
def cached_function(bars):
    """Statistics of all bars behind ``lru_cache``."""
    x = returns(bars)
    mean, std = _statistics(x.tobytes())
    return (x - mean) / std


@feature
def default_argument(bars, *, _kept={}):  # noqa: B006  the leak
    """The first mean, kept in a default argument."""
    x = returns(bars)
    _kept.setdefault("mean", x.mean())
    return x - _kept["mean"]


@feature
def function_attribute(bars):
    """The next returns, kept as an attribute of the function."""
    x = returns(bars)
    known = getattr(function_attribute, "future", ahead(x))
    if len(known) < len(x) + 1:
        known = ahead(x)
    function_attribute.future = known
    return known[: len(x)].copy()


@feature
def counts_its_calls(bars):
    """Leaks in its first call alone."""
    counts_its_calls.calls = getattr(counts_its_calls, "calls", 0) + 1
    x = returns(bars)
    return ahead(x) if counts_its_calls.calls == 1 else x


@feature
def what_another_module_keeps(bars):
    """Hidden in a module that everybody imports."""
    x = ahead(returns(bars))
    known = getattr(sys, "_zoo", x)
    known = x if len(x) > len(known) else known
    sys._zoo = known
    return known[: len(x)].copy()


# -- files, hosts, clocks --------------------------------------------------------------------------


@feature
def reads_the_data_file(bars):
    """Reads later closes from a CSV file."""
    close = pd.read_csv(LATER / "later.csv")["close"].to_numpy()
    return np.append(close[1:], close[-1])[: len(bars["close"])] / bars["close"] - 1.0


@feature
def loads_an_array(bars):
    """Loads later closes from an array."""
    close = np.load(LATER / "later.npy")
    return np.append(close[1:], close[-1])[: len(bars["close"])] / bars["close"] - 1.0


@feature
def file_in_the_current_folder(bars):
    """Reads a file in the current folder, if it can."""
    x = returns(bars)
    with contextlib.suppress(OSError):
        x += 0.0 * len(Path("later.txt").read_text())
    return x


@feature
def lists_a_folder(bars):
    """Lists a folder."""
    return returns(bars) * (1.0 + 0.0 * len(list(Path().iterdir())))


@feature
def asks_a_host(bars):
    """Connects to a host."""
    with socket.socket() as host:
        host.settimeout(0.05)
        host.connect_ex(("127.0.0.1", 9))
    return returns(bars)


@feature
def asks_a_program(bars):
    """Starts a program."""
    subprocess.run(["true"], check=False)
    return returns(bars)


@feature
def variable_of_the_shell(bars):
    """Keeps the sample's mean where the next call finds it."""
    x = returns(bars)
    mean = float(os.environ.setdefault("ZOO_MEAN", str(x.mean())))
    return x - mean


@feature
def present_year(bars):
    """``datetime.now``."""
    return returns(bars) * (datetime.datetime.now().year - 2000)


@feature
def present_second(bars):
    """``time.time``, by little."""
    return returns(bars) * (1.0 + 1e-12 * time.time())


@feature
def present_time_of_pandas(bars):
    """``Timestamp.now``."""
    return returns(bars) * pd.Timestamp.now().year


@feature
def present_time_of_numpy(bars):
    """``datetime64('today')``."""
    return returns(bars) * (np.datetime64("today").astype(int) // 1000)


@feature
def draws(bars):
    """Random numbers without a seed."""
    return returns(bars) + 1e-3 * np.random.default_rng().normal(size=len(bars["close"]))


@feature
def draws_from_the_global_generator(bars):
    """Random numbers of NumPy's global generator."""
    return returns(bars) + 1e-3 * np.random.normal(size=len(bars["close"]))  # noqa: NPY002


# -- what came with the data -----------------------------------------------------------------------


@feature
def target_among_the_columns(bars):
    """A side column that holds the next return, as a label in the same file."""
    return bars["label"]


@feature
def merged_from_later(bars):
    """A side column whose vendor stamps a day by its beginning."""
    return bars["stamped_early"]


# -- levels ----------------------------------------------------------------------------------------


@feature
def price_level(bars):
    """A price that a later split changes in the whole past."""
    return np.log(bars["close"])


@feature
def round_number(bars):
    """The distance from a round price."""
    return np.mod(bars["close"], 10.0)


@feature
def share_volume(bars):
    """The number of shares, which a split changes."""
    return np.log1p(bars["volume"])
