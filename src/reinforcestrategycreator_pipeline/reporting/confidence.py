"""The confidence of the policy in its trades, and what came of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.results import (
    CONFIDENCE_COLUMNS,
    StrategyResult,
)

MIN_TRADES = 4

TERMS = (
    (
        "Advantage",
        "What the policy's agents expected of a decision, on average, beyond staying at the "
        "previous target: discounted log growth net of costs, in bps. That of a trade is of the "
        "decision to enter.",
    ),
    ("Spread over agents", "Standard deviation of that advantage over the agents, in bps."),
    (
        "z",
        "Advantage over spread: by how many spreads the agents preferred the trade to staying. It "
        "ranks decisions, and is no p-value, as the agents learned from the same bars.",
    ),
)


class Outcome(NamedTuple):
    """The returns of the trades by how sure the policy was of them.

    Attributes
    ----------
    trades : int
        Number of trades whose z is known.
    surer, less_sure : float
        Mean return of the half of the trades with the larger z, and of the other half, as
        fractions of equity at entry; with an odd number, the middle one is in neither.
    correlation : float or None
        Rank correlation of z and return; None if all z or all returns are equal.
    """

    trades: int
    surer: float
    less_sure: float
    correlation: float | None

    @property
    def error(self) -> float:
        """Standard error of the correlation of unrelated, independent pairs."""
        return 1.0 / math.sqrt(self.trades - 1)


def says(result: StrategyResult) -> bool:
    """Tell whether the strategy says how sure it was of its trades."""
    return set(CONFIDENCE_COLUMNS) <= set(result.trades.columns)


def z_of(trades: pd.DataFrame) -> F64:
    """Return advantage / spread of each trade; NaN where the agents do not differ."""
    advantage, spread = (trades[name].to_numpy(np.float64) for name in CONFIDENCE_COLUMNS)
    z: F64 = np.divide(advantage, spread, out=np.full(len(trades), np.nan), where=spread > 0)
    return z


def outcome_of(trades: pd.DataFrame) -> Outcome | None:
    """Compare the trades of which the policy was surer with the others.

    Returns
    -------
    Outcome or None
        None if fewer than `MIN_TRADES` trades have a z.
    """
    pairs = pd.DataFrame({"z": z_of(trades), "return": trades["return"].to_numpy()}).dropna()
    if len(pairs) < MIN_TRADES:
        return None
    ordered, half = pairs.sort_values("z", kind="stable")["return"], len(pairs) // 2
    ranks = pairs.rank()
    known = (ranks.nunique() > 1).all()
    return Outcome(
        trades=len(pairs),
        surer=float(ordered.iloc[-half:].mean()),
        less_sure=float(ordered.iloc[:half].mean()),
        correlation=float(ranks["z"].corr(ranks["return"])) if known else None,
    )


def confidence_note(result: StrategyResult) -> str:
    """Say whether the trades of which the policy was surer ended better; empty if it never says."""
    if not says(result):
        return ""
    found = outcome_of(result.trades)
    if found is None:
        return f"Fewer than {MIN_TRADES} trades have a z: too few to compare."
    text = (
        f"Of {found.trades:,} trades, the surer half (by z) returned {found.surer:+.2%} on "
        f"average, the less sure half {found.less_sure:+.2%}."
    )
    if found.correlation is None:
        return f"{text} The rank correlation of z and return is undefined: all are equal."
    if abs(found.correlation) < 1.96 * found.error:
        judged = "which may be chance"
    elif found.correlation > 0:
        judged = "so the surer trades were the better ones"
    else:
        judged = "so the surer trades were the worse ones"
    return (
        f"{text} The rank correlation of z and return is {found.correlation:+.2f} (standard error "
        f"{found.error:.2f} if trades are independent), {judged}."
    )
