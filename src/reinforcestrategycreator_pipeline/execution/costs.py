"""Trading costs, in proportion to the value traded or borrowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from reinforcestrategycreator_pipeline.checks import Ge, Le, Lt, Strict

BPS = 1e-4
SECONDS_PER_YEAR = 365.0 * 86_400.0


@dataclass(frozen=True)
class CostConfig(Strict):
    """Proportional costs, in basis points.

    Attributes
    ----------
    commission_bps : float
        Commission on the value at the fill price, for each purchase and sale, in [0, 5000).
    spread_bps : float
        Full bid-ask spread, in [0, 5000); a fill is half of it away from the open.
    slippage_bps : float
        Additional distance of a fill from the open, against the trader, in [0, 5000).
    borrow_bps_per_year : float
        Fee on the value of a short position, per calendar year of 365 days, >= 0.
    margin_bps_per_year : float
        Interest on money borrowed for an exposure above 1, per calendar year of 365 days, >= 0.
    """

    commission_bps: Annotated[float, Ge(0), Lt(5_000)] = 1.0
    spread_bps: Annotated[float, Ge(0), Lt(5_000)] = 2.0
    slippage_bps: Annotated[float, Ge(0), Lt(5_000)] = 2.0
    borrow_bps_per_year: Annotated[float, Ge(0), Le(1e6)] = 50.0
    margin_bps_per_year: Annotated[float, Ge(0), Le(1e6)] = 500.0

    @property
    def fill_offset(self) -> float:
        """Distance of a fill from the open, as a fraction of the open."""
        return (0.5 * self.spread_bps + self.slippage_bps) * BPS

    @property
    def buy_cost(self) -> float:
        """Cost of buying a value of 1 at the open: a higher fill price, and commission on it."""
        return (1.0 + self.fill_offset) * (1.0 + self.commission_bps * BPS) - 1.0

    @property
    def sell_cost(self) -> float:
        """Cost of selling a value of 1 at the open: a lower fill price, and commission on it."""
        return 1.0 - (1.0 - self.fill_offset) * (1.0 - self.commission_bps * BPS)

    @property
    def borrow_rate(self) -> float:
        """Borrow fee per year, as a fraction of the value of the short position."""
        return self.borrow_bps_per_year * BPS

    @property
    def margin_rate(self) -> float:
        """Margin interest per year, as a fraction of the money borrowed."""
        return self.margin_bps_per_year * BPS
