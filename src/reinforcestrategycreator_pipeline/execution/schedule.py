"""When money is moved between the accounts of a portfolio, to make them equal again.

Money moves at the open of a bar, so all accounts must have that bar: it and the bar before it close
at the same times for every symbol. A bar that some symbol lacks is left out, and what falls due
there waits for the next one. Stamps say when bars close, not when they open: bars that close
together, after bars that closed together, are taken to open together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import combinations
from typing import Annotated, Literal, TypeAlias

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Ints
from reinforcestrategycreator_pipeline.checks import Ge, Le
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.limits import MAX_BARS

Rebalance: TypeAlias = (
    Literal["never", "daily", "weekly", "monthly"] | Annotated[int, Ge(1), Le(MAX_BARS)]
)


def rebalancing_bars(times: Mapping[str, Ints], rule: Rebalance) -> Ints:
    """Return the close times of the bars at whose open the accounts are made equal.

    The first bar of a new day, week (from Monday) or month counts, in UTC, after the one in which
    trading starts; a bar that closes at midnight belongs to the day before. With a number n, every
    n-th bar counts. Bars that some symbol lacks are left out.

    Parameters
    ----------
    times : mapping of str to ndarray of int64
        Close times by symbol, nanoseconds since 1970 UTC, increasing; trading starts with the
        decision at the first.
    rule : "never", "daily", "weekly", "monthly" or int
        When to rebalance.

    Returns
    -------
    ndarray of int64
        Increasing; empty for one symbol.

    Raises
    ------
    DataError
        If the symbols have no bar in common.
    """
    if rule == "never" or len(times) < 2:
        return np.empty(0, dtype=np.int64)
    common = common_bars(list(times.values()))
    if not len(common):
        raise DataError(
            f"trading.rebalance: {rule} moves money at the open of bars that all symbols have: "
            "such a bar and the one before it close at the same times for each. Got "
            f"{_strangers(times)} without such a bar."
        )
    if isinstance(rule, int):
        return common[rule - 1 :: rule]
    start = max(int(stamps[0]) for stamps in times.values())
    period = _periods(np.concatenate([[start], common]), rule)
    return common[np.diff(period) > 0]


def common_bars(times: Sequence[Ints]) -> Ints:
    """Return the close times of the bars that all symbols have, and whose predecessor, too."""
    shared: Ints = reduce(np.intersect1d, [stamps[1:] for stamps in times])
    before = [stamps[np.searchsorted(stamps, shared) - 1] for stamps in times]
    same = np.all([stamps == before[0] for stamps in before], axis=0)
    return shared[same]


def _strangers(times: Mapping[str, Ints]) -> str:
    """Name two symbols that share no bar, or say that it takes all of them."""
    for one, other in combinations(times, 2):
        if not len(common_bars([times[one], times[other]])):
            return f"{one} and {other}"
    return f"{len(times)} symbols"


def _periods(times: Ints, rule: str) -> Ints:
    """Return the numbers of the calendar periods in which bars close."""
    days = (times - 1).astype("datetime64[ns]").astype("datetime64[D]")
    if rule == "monthly":
        return days.astype("datetime64[M]").astype(np.int64)
    number = days.astype(np.int64)
    return (number + 3) // 7 if rule == "weekly" else number  # 1970-01-01 was a Thursday
