"""A plain account, as a clerk keeps it: cash, shares, one bar after the other.

It knows the rules of the design (decide at the close, fill at the next open, exposure after costs
is the target) and none of the kernel's formulas: the number of shares to trade comes from one
linear equation in shares and cash.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

RUIN = 1e-6


@dataclass
class Ledger:
    """What the clerk wrote down, an entry a bar."""

    equity: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    bought: list[float] = field(default_factory=list)
    paid: list[float] = field(default_factory=list)


def shares_to_trade(cash, shares, price, target, costs):
    """Return n such that (shares + n) * price = target * equity once n is paid for.

    With a fill at f, a commission of k of the fill and E = cash + shares * price:
    shares p + n p = q (cash - n f (1 + k) + shares p + n p)  when n > 0; 1 - k when n < 0.
    """
    equity = cash + shares * price
    wanted = target * equity - shares * price
    if wanted == 0.0:
        return 0.0
    sign = math.copysign(1.0, wanted)
    away = sign * (costs.spread_bps / 2 + costs.slippage_bps) / 10_000
    cash_each = price * (1 + away) * (1 + sign * costs.commission_bps / 10_000)
    return wanted / (price - target * price + target * cash_each)


def keep_ledger(opens, closes, seconds, targets, costs, money) -> Ledger:
    """Trade `targets`, starting with `money` in cash at the first close."""
    cash, shares, ledger = float(money), 0.0, Ledger()
    ledger.equity.append(cash)
    for t, target in enumerate(targets):
        equity = cash + shares * closes[t]
        years = (seconds[t + 1] - seconds[t]) / (365 * 24 * 3600)
        short, loan = max(-shares * closes[t], 0.0), max(shares * closes[t] - equity, 0.0)
        fees = (costs.borrow_bps_per_year * short + costs.margin_bps_per_year * loan) / 10_000
        cash -= fees * years
        price = opens[t + 1]
        n = 0.0
        if cash + shares * price <= RUIN * equity:
            cash, shares = RUIN * equity, 0.0
        elif equity > RUIN * money:  # a ruined account trades no more
            n = shares_to_trade(cash, shares, price, target, costs)
            sign = math.copysign(1.0, n)
            fill = price * (1 + sign * (costs.spread_bps / 2 + costs.slippage_bps) / 10_000)
            before = cash + shares * price
            cash -= n * fill + abs(n) * fill * costs.commission_bps / 10_000
            shares += n
            ledger.paid.append(fees * years + before - cash - shares * price)
        if cash + shares * closes[t + 1] <= RUIN * equity:
            cash, shares = RUIN * equity, 0.0
        ledger.bought.append(n)
        ledger.shares.append(shares)
        ledger.equity.append(cash + shares * closes[t + 1])
    return ledger
