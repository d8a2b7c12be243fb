"""Back-adjustment for splits and dividends, and detection of corporate actions.

A vendor's adjusted close, divided by the raw close, gives the cumulative adjustment
``factor = adj_close / close``. It jumps when a corporate action takes effect: by p/q for a p:q
split (p new shares for q old), and for a cash dividend D by one of two formulas, with C the close:

    C_before / (C_before - D)    the day's fall by D is no loss (CRSP, Yahoo, Alpha Vantage)
    (C_ex + D) / C_ex            D is reinvested at the close of the ex-date (Quandl WIKI)

Companies pay whole cents, so the formula whose dividends come nearer to that is the vendor's.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import exp, log

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.market.bars import day_of
from reinforcestrategycreator_pipeline.ohlcv import ADJUSTED_CLOSE, PRICES

_WHOLE = (*range(2, 11), 12, 15, 20, 25, 30, 40, 50, 100)


def _with_inverses(ratios: set[Fraction]) -> tuple[Fraction, ...]:
    return tuple(sorted(ratios | {1 / r for r in ratios}))


# With an adjusted close, a ratio is known to many digits, so uncommon splits can be recognized.
# From prices alone, only common ones can: earnings often move a price by 6:5.
SPLIT_RATIOS = _with_inverses(
    {Fraction(p) for p in _WHOLE}
    | {Fraction(p, q) for q in range(2, 6) for p in range(q + 1, 11) if 5 * p >= 6 * q}
)
COMMON_RATIOS = _with_inverses({Fraction(p) for p in _WHOLE} | {Fraction(3, 2), Fraction(5, 2)})

_EVENT = 1e-6  # smallest relative jump of the factor above a vendor's float32 noise
_EXACT = 1e-4  # relative distance from p/q at which a jump is a split
_WITH_DIVIDEND = 0.02  # relative excess over p/q for a split and a dividend on the same day
_WINDOW = 60  # bars before a jump from which ordinary overnight gaps are estimated
_TOLERANCE_FLOOR, _TOLERANCE_CAP = 0.005, 0.05  # in log price


@dataclass(frozen=True)
class CorporateAction:
    """A corporate action, effective before the open of the bar at `timestamp`.

    Attributes
    ----------
    timestamp : Timestamp
        Close time of the first bar that trades ex.
    day : str
        Its date in the time zone of the data; a bar that closes at 24:00 belongs to the day that
        ends then.
    factor : float
        Relative jump of adj_close / close, > 0.
    split : Fraction or None
        Number of new shares per old share; None without a split.
    dividend : float or None
        Cash per (new) share, in the prices of that day; None without a dividend.
    """

    timestamp: pd.Timestamp
    day: str
    factor: float
    split: Fraction | None
    dividend: float | None

    def describe(self) -> str:
        """Return a description such as ``"2000-06-21 split 2:1"``."""
        parts = []
        if self.split is not None:
            parts.append(f"split {ratio_text(self.split)}")
        if self.dividend is not None:
            parts.append(f"dividend {self.dividend:.4g}")
        return f"{self.day} {' and '.join(parts) or f'factor {self.factor:.6g}'}"


def ratio_text(ratio: Fraction) -> str:
    """Return ``"2:1"`` for the fraction 2."""
    return f"{ratio.numerator}:{ratio.denominator}"


def find_actions(
    frame: pd.DataFrame, timezone: str = "UTC", shift_ns: int = 1
) -> tuple[CorporateAction, ...]:
    """Find the corporate actions in raw and adjusted closes.

    Parameters
    ----------
    frame : DataFrame
        Raw ``close`` and ``adj_close``, validated, indexed by close time.
    timezone : str
        IANA time zone of the days.
    shift_ns : int
        From a moment in a bar's day to its close, see `day_of`.

    Returns
    -------
    tuple of CorporateAction
        Actions in order of time. If the factor falls without a split, or jumps by a split ratio
        although the raw price does not, `split` and `dividend` are both None.
    """
    close = frame["close"].to_numpy(np.float64)
    adjusted = frame[ADJUSTED_CLOSE].to_numpy(np.float64)
    factor = adjusted / close
    jump = factor[1:] / factor[:-1]
    noise = _rounding_noise(adjusted)
    events: list[tuple[int, float, Fraction | None, tuple[float, float] | None]] = []
    for i in (np.flatnonzero(np.abs(jump - 1) > _EVENT + noise) + 1).tolist():
        g = float(jump[i - 1])
        split = _split_in(g, log(close[i] / close[i - 1]), float(noise[i - 1]))
        rest = g if split is None else g / float(split)
        explained = split is not None and abs(rest - 1) <= max(_EXACT, float(noise[i - 1]))
        unexplained_split = split is None and _nearest_ratio(g, SPLIT_RATIOS)[1] <= _EXACT
        pays = None
        if rest > 1 and not explained and not unexplained_split:
            before = close[i - 1] / float(split or 1)  # of a new share
            pays = float(before * (1 - 1 / rest)), float(close[i] * (rest - 1))
        events.append((i, g, split, pays))
    formula = _formula([pays for *_, pays in events if pays is not None])
    stamps = pd.DatetimeIndex(frame.index)
    return tuple(
        CorporateAction(
            stamps[i],
            day_of(stamps[i], timezone, shift_ns),
            g,
            split,
            None if pays is None else pays[formula],
        )
        for i, g, split, pays in events
    )


def _formula(amounts: list[tuple[float, float]]) -> int:
    """Return the position of the formula whose amounts are nearer to whole cents."""
    cents = 100 * np.array(amounts or [(0.0, 0.0)])
    return int(np.abs(cents - np.round(cents)).mean(axis=0).argmin())


@np.errstate(over="ignore", invalid="ignore")  # the caller checks the adjusted bars
def adjust(
    frame: pd.DataFrame, timezone: str = "UTC", shift_ns: int = 1
) -> tuple[pd.DataFrame, tuple[CorporateAction, ...]]:
    """Adjust raw bars for splits and dividends, relative to the last bar.

    The last bar keeps its traded prices. Open, high, low and close of each earlier bar are
    multiplied by one factor, so returns are total returns. Volume is adjusted for splits, but not
    for dividends, which do not change the number of shares. A later action scales all earlier bars
    by one constant, so past returns do not change.

    Parameters
    ----------
    frame : DataFrame
        Raw open, high, low, close, volume and ``adj_close``, validated, indexed by close time.
    timezone : str
        IANA time zone of the days of the actions.
    shift_ns : int
        From a moment in a bar's day to its close, see `day_of`.

    Returns
    -------
    DataFrame
        Adjusted bars without ``adj_close``; side data are unchanged.
    tuple of CorporateAction
        Actions from `find_actions`.
    """
    actions = find_actions(frame, timezone, shift_ns)
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

    The gap close(t-1) -> open(t) must be within three robust standard deviations of a common split
    ratio, and an outlier among the gaps before it. This is a suspicion, not proof: prices do
    sometimes halve.

    Parameters
    ----------
    frame : DataFrame
        Columns ``open`` and ``close``, validated, indexed by close time.

    Returns
    -------
    tuple of (Timestamp, Fraction)
        Close time of each suspected bar, and the number of new shares per old share.
    """
    opens = np.log(frame["open"].to_numpy(np.float64))
    closes = np.log(frame["close"].to_numpy(np.float64))
    gap = opens[1:] - closes[:-1]
    found = []
    smallest = log(min(r for r in COMMON_RATIOS if r > 1)) - _TOLERANCE_CAP
    for i in np.flatnonzero(np.abs(gap) > smallest).tolist():
        before = gap[max(0, i - _WINDOW) : i]
        ordinary = before if len(before) >= 10 else np.delete(gap, i)
        ratio = split_in_gap(float(gap[i]), robust_sigma(ordinary))
        if ratio is not None:
            found.append((frame.index[i + 1], ratio))
    return tuple(found)


def split_in_gap(gap: float, sigma: float) -> Fraction | None:
    """Return the split that an overnight gap looks like, or None.

    Parameters
    ----------
    gap : float
        Log of the open over the previous close.
    sigma : float
        Robust standard deviation of the ordinary gaps.
    """
    tolerance = min(max(3 * sigma, _TOLERANCE_FLOOR), _TOLERANCE_CAP)
    ratio, distance = _nearest_ratio(exp(min(max(-gap, -99.0), 99.0)), COMMON_RATIOS)
    return ratio if distance <= tolerance and abs(gap) > 8 * sigma else None


def _split_in(jump: float, log_return: float, noise: float) -> Fraction | None:
    """Return the split in a jump of the factor, if the raw price jumped as well."""
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
    """Return the ratio nearest to `value` on a log scale, and the distance."""
    nearest = min(ratios, key=lambda r: abs(log(value) - log(r)))
    return nearest, abs(log(value) - log(nearest))


def _rounding_noise(adjusted: F64) -> F64:
    """Return the largest relative error in each jump due to rounding of the adjusted close."""
    for decimals in range(2, 7):
        scaled = adjusted * 10.0**decimals
        if np.all(np.abs(scaled - np.round(scaled)) <= 1e-9 * np.maximum(1, np.abs(scaled))):
            return 0.5 * 10.0**-decimals * (1 / adjusted[1:] + 1 / adjusted[:-1])
    return np.zeros(len(adjusted) - 1)


def robust_sigma(values: F64) -> float:
    """Return the standard deviation implied by the median absolute deviation."""
    if len(values) == 0:
        return 0.0
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
