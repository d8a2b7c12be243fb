"""Back-adjustment for splits and dividends, and the corporate actions that it reveals.

A vendor's adjusted close holds, beside the raw close, the cumulated adjustment
``factor = adj_close / close``. It jumps where a corporate action takes effect: by p/q for a p:q
split (p new shares for q old), by (close + dividend) / close for a cash dividend that is
reinvested at the close of its ex-date.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import log

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.ohlcv import ADJUSTED_CLOSE, PRICES

_WHOLE = (*range(2, 11), 12, 15, 20, 25, 30, 40, 50, 100)


def _with_inverses(ratios: set[Fraction]) -> tuple[Fraction, ...]:
    return tuple(sorted(ratios | {1 / r for r in ratios}))


# Beside an adjusted close a ratio is known to many digits, so that uncommon splits are told
# apart. In prices alone only the common ones are: 6:5 is an ordinary jump on earnings.
SPLIT_RATIOS = _with_inverses(
    {Fraction(p) for p in _WHOLE}
    | {Fraction(p, q) for q in range(2, 6) for p in range(q + 1, 11) if 5 * p >= 6 * q}
)
COMMON_RATIOS = _with_inverses({Fraction(p) for p in _WHOLE} | {Fraction(3, 2), Fraction(5, 2)})

_EVENT = 1e-6  # smallest relative jump of the factor that is not float32 noise of the vendor's
_EXACT = 1e-4  # a factor this near to p/q is a split
_WITH_DIVIDEND = 0.02  # and this far above it a split with a dividend on the same day
_WINDOW = 60  # bars before a jump that tell what an ordinary overnight gap is
_TOLERANCE_FLOOR, _TOLERANCE_CAP = 0.005, 0.05  # in log price


@dataclass(frozen=True)
class CorporateAction:
    """What took effect between the close before and the open of the bar at `timestamp`.

    Attributes
    ----------
    timestamp : Timestamp
        Close of the first bar that trades ex.
    factor : float
        Jump of adj_close / close.
    split : Fraction or None
        New shares for one old.
    dividend : float or None
        Cash a (new) share, in the prices of that day.
    """

    timestamp: pd.Timestamp
    factor: float
    split: Fraction | None
    dividend: float | None

    def describe(self) -> str:
        """Return, for instance, ``"2000-06-21 split 2:1"``."""
        parts = []
        if self.split is not None:
            parts.append(f"split {ratio_text(self.split)}")
        if self.dividend is not None:
            parts.append(f"dividend {self.dividend:.4g}")
        return f"{self.timestamp.date()} {' and '.join(parts) or f'factor {self.factor:.6g}'}"


def ratio_text(ratio: Fraction) -> str:
    """Return ``"2:1"`` for the fraction 2."""
    return f"{ratio.numerator}:{ratio.denominator}"


def find_actions(frame: pd.DataFrame) -> tuple[CorporateAction, ...]:
    """Find the corporate actions in raw prices that stand beside an adjusted close.

    Parameters
    ----------
    frame : DataFrame
        Raw ``close`` and ``adj_close``, validated, indexed by close time.

    Returns
    -------
    tuple of CorporateAction
        In order of time. A factor that falls without a split, or that jumps by a split's ratio
        where the raw price does not, is neither split nor dividend; both fields are None.
    """
    close = frame["close"].to_numpy(np.float64)
    adjusted = frame[ADJUSTED_CLOSE].to_numpy(np.float64)
    factor = adjusted / close
    jump = factor[1:] / factor[:-1]
    noise = _rounding_noise(adjusted)
    found = []
    for i in (np.flatnonzero(np.abs(jump - 1) > _EVENT + noise) + 1).tolist():
        g = float(jump[i - 1])
        split = _split_in(g, log(close[i] / close[i - 1]), float(noise[i - 1]))
        rest = g if split is None else g / float(split)
        explained = split is not None and abs(rest - 1) <= max(_EXACT, float(noise[i - 1]))
        unexplained_split = split is None and _nearest_ratio(g, SPLIT_RATIOS)[1] <= _EXACT
        pays = rest > 1 and not explained and not unexplained_split
        dividend = float(close[i]) * (rest - 1) if pays else None
        found.append(CorporateAction(frame.index[i], g, split, dividend))
    return tuple(found)


def adjust(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[CorporateAction, ...]]:
    """Adjust raw bars for splits and dividends, as seen from the last bar.

    The last bar keeps its traded prices; every earlier bar's open, high, low and close are
    multiplied by one factor, so that returns are total returns. Volume is divided by the same
    splits, and not by dividends, which change no number of shares. What happens after a bar
    scales everything up to it by one constant: past returns do not change.

    Parameters
    ----------
    frame : DataFrame
        Raw open, high, low, close, volume and ``adj_close``, validated, indexed by close time.

    Returns
    -------
    DataFrame
        Without ``adj_close``; side data untouched.
    tuple of CorporateAction
        What `find_actions` finds.
    """
    actions = find_actions(frame)
    factor = (frame[ADJUSTED_CLOSE] / frame["close"]).to_numpy(np.float64)
    factor = factor / factor[-1]
    shares = np.ones(len(frame))
    for action in actions:
        if action.split is not None:
            shares[: frame.index.get_indexer(pd.Index([action.timestamp]))[0]] *= float(
                action.split
            )
    adjusted = frame.drop(columns=ADJUSTED_CLOSE)
    for name in PRICES:
        adjusted[name] = frame[name].to_numpy(np.float64) * factor
    adjusted["volume"] = frame["volume"].to_numpy(np.float64) * shares
    return adjusted, actions


def unadjusted_splits(frame: pd.DataFrame) -> tuple[tuple[pd.Timestamp, Fraction], ...]:
    """Find overnight jumps that look like splits for which the prices were not adjusted.

    The gap close(t-1) -> open(t) must be a common split ratio to within three robust standard
    deviations of the gaps before it, and an outlier among them. This is a suspicion, not a
    proof: prices do sometimes halve.

    Parameters
    ----------
    frame : DataFrame
        ``open`` and ``close``, validated, indexed by close time.
    """
    opens = np.log(frame["open"].to_numpy(np.float64))
    closes = np.log(frame["close"].to_numpy(np.float64))
    gap = opens[1:] - closes[:-1]
    found = []
    smallest = log(min(r for r in COMMON_RATIOS if r > 1)) - _TOLERANCE_CAP
    for i in np.flatnonzero(np.abs(gap) > smallest).tolist():
        before = gap[max(0, i - _WINDOW) : i]
        ordinary = before if len(before) >= 10 else np.delete(gap, i)
        sigma = _robust_sigma(ordinary)
        tolerance = min(max(3 * sigma, _TOLERANCE_FLOOR), _TOLERANCE_CAP)
        ratio, distance = _nearest_ratio(float(np.exp(-gap[i])), COMMON_RATIOS)
        if distance <= tolerance and abs(gap[i]) > 8 * sigma:
            found.append((frame.index[i + 1], ratio))
    return tuple(found)


def _split_in(jump: float, log_return: float, noise: float) -> Fraction | None:
    """Return the split in a jump of the factor, if the raw price jumped with it."""
    best: tuple[float, Fraction] | None = None
    for ratio in SPLIT_RATIOS:
        rest = jump / float(ratio) - 1
        exact = abs(rest) <= max(_EXACT, min(noise, _WITH_DIVIDEND))
        if not exact and not (0 < rest <= _WITH_DIVIDEND and abs(log(ratio)) > 0.4):
            continue
        coincident = abs(log_return + log(ratio)) < abs(log_return)
        if coincident and (best is None or abs(rest) < best[0]):
            best = (abs(rest), ratio)
    return None if best is None else best[1]


def _nearest_ratio(value: float, ratios: tuple[Fraction, ...]) -> tuple[Fraction, float]:
    """Return the ratio nearest to `value` in log, and that distance."""
    nearest = min(ratios, key=lambda r: abs(log(value) - log(r)))
    return nearest, abs(log(value) - log(nearest))


def _rounding_noise(adjusted: F64) -> F64:
    """Return the relative error of each jump that rounding of the adjusted close can make."""
    for decimals in range(2, 7):
        scaled = adjusted * 10.0**decimals
        if np.all(np.abs(scaled - np.round(scaled)) <= 1e-9 * np.maximum(1, np.abs(scaled))):
            return 0.5 * 10.0**-decimals * (1 / adjusted[1:] + 1 / adjusted[:-1])
    return np.zeros(len(adjusted) - 1)


def _robust_sigma(values: F64) -> float:
    """Return the standard deviation that the median absolute deviation implies."""
    if len(values) == 0:
        return 0.0
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
