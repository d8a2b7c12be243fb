"""Costs of trading and of carrying a position, for which the account's size does not matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from reinforcestrategycreator_pipeline.checks import Ge, Le, Lt, Strict

BPS = 1e-4
SECONDS_PER_YEAR = 365.0 * 86_400.0


@dataclass(frozen=True)
class CostConfig(Strict):
    """Costs of trading, and of carrying a position.

    All are fractions of what is traded or held, whatever the account's size: growth over a bar
    stays a function of the bar, the previous target and the target.

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
    commission_per_share : float
        Commission in money for each share, beside `commission_bps`, in [0, 1e6]. Prices adjusted
        for splits make another number of shares of the same money.
    impact_bps : float
        Market impact in bps of a trade as large as the equity, in [0, 5000). It follows the square
        root of the trade: a trade of a fraction x of the equity moves its fill by
        ``impact_bps * sqrt(x)``. With the volatility s of a day and its traded value V, an account
        of money M has about ``1e4 * s * sqrt(M / V)`` (Almgren et al. 2005; Gatheral 2010).
    funding_bps_per_year : float
        Funding of a perpetual future per calendar year of 365 days, in [-1e6, 1e6]: longs pay it
        on the value of their position, shorts receive it; if negative, the other way around.
    """

    commission_bps: Annotated[float, Ge(0), Lt(5_000)] = 1.0
    spread_bps: Annotated[float, Ge(0), Lt(5_000)] = 2.0
    slippage_bps: Annotated[float, Ge(0), Lt(5_000)] = 2.0
    borrow_bps_per_year: Annotated[float, Ge(0), Le(1e6)] = 50.0
    margin_bps_per_year: Annotated[float, Ge(0), Le(1e6)] = 500.0
    commission_per_share: Annotated[float, Ge(0), Le(1e6)] = 0.0
    impact_bps: Annotated[float, Ge(0), Lt(5_000)] = 0.0
    funding_bps_per_year: Annotated[float, Ge(-1e6), Le(1e6)] = 0.0

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
    def impact(self) -> float:
        """Distance that impact adds to a fill of a trade as large as the equity, as a fraction."""
        return self.impact_bps * BPS

    @property
    def funding_rate(self) -> float:
        """Funding per year, as a fraction of the value of the position, paid by longs."""
        return self.funding_bps_per_year * BPS

    @property
    def borrow_rate(self) -> float:
        """Borrow fee per year, as a fraction of the value of the short position."""
        return self.borrow_bps_per_year * BPS

    @property
    def margin_rate(self) -> float:
        """Margin interest per year, as a fraction of the money borrowed."""
        return self.margin_bps_per_year * BPS
