"""A policy's returns against those of buy and hold on the same bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.backtesting.results import StrategyResult
from reinforcestrategycreator_pipeline.statistics.newey_west import Estimate, mean_of, regress

_MIN_BARS = 30


@dataclass(frozen=True)
class Excess:
    """A policy's returns against those of buy and hold, per year and net of costs.

    Attributes
    ----------
    excess : Estimate or None
        Mean of the policy's return less that of buy and hold on the same bar, times bars per year.
        Its p is that of an excess of 0 or less.
    alpha, beta : Estimate or None
        Intercept, times bars per year, and slope of a regression of the policy's returns on those
        of buy and hold; the risk-free rate is 0.
    reason : str
        Reason why an estimate is None: ``"the policy is buy and hold"``; else empty.
    """

    excess: Estimate | None = None
    alpha: Estimate | None = None
    beta: Estimate | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the estimates as ``metrics.json`` holds them."""
        parts = {"excess": self.excess, "alpha": self.alpha, "beta": self.beta}
        return {name: x and x._asdict() for name, x in parts.items()} | {"reason": self.reason}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Excess:
        """Restore what `to_json` returned."""
        excess, alpha, beta = (
            stored[name] and Estimate(**stored[name]) for name in ("excess", "alpha", "beta")
        )
        return cls(excess, alpha, beta, stored["reason"])


def excess_over(own: StrategyResult, hold: StrategyResult, periods_per_year: float) -> Excess:
    """Compare the returns of a policy with those of buy and hold, bar by bar.

    Standard errors and p-values are those of `newey_west`: returns may be autocorrelated and of
    changing variance.
    """
    if not (np.all(own.equity > 0) and np.all(hold.equity > 0)):
        return Excess(reason="ruined: equity reached zero")
    ours, theirs = (r.equity[1:] / r.equity[:-1] - 1.0 for r in (own, hold))
    if len(ours) < _MIN_BARS:
        return Excess(reason=f"too short: {len(ours)} returns, {_MIN_BARS} are needed")
    excess, fit = mean_of(ours - theirs), regress(ours, theirs)
    if excess is None:
        return Excess(reason="the policy is buy and hold")
    if fit is None:
        return Excess(_yearly(excess, periods_per_year), reason="zero variance")
    alpha, beta = fit
    return Excess(_yearly(excess, periods_per_year), _yearly(alpha, periods_per_year), beta)


def _yearly(found: Estimate, periods_per_year: float) -> Estimate:
    return Estimate(found.value * periods_per_year, found.error * periods_per_year, found.p)
