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


class Account:
    """One account's cash and shares, and what the clerk writes down of it."""

    def __init__(self, costs, money):
        self.costs, self.cash, self.shares = costs, float(money), 0.0
        self.closed = False  # ruined: it trades no more
        self.ledger = Ledger()
        self.ledger.equity.append(self.cash)

    def open(self, price, years):
        """Pay for the night, and see what is left at the open."""
        self.stake = self.ledger.equity[-1]
        worth = self.stake - self.cash
        short, loan = max(-worth, 0.0), max(worth - self.stake, 0.0)
        fees = self.costs.borrow_bps_per_year * short + self.costs.margin_bps_per_year * loan
        self.spent = fees / 10_000 * years
        self.cash -= self.spent
        self.mark(price)

    def pay_in(self, amount):
        self.cash += amount
        self.stake += max(amount, 0.0)

    def trade(self, target, price):
        n = 0.0
        if not self.closed:
            n = shares_to_trade(self.cash, self.shares, price, target, self.costs)
            sign = math.copysign(1.0, n)
            away = (self.costs.spread_bps / 2 + self.costs.slippage_bps) / 10_000
            fill, before = price * (1 + sign * away), self.cash + self.shares * price
            self.cash -= n * fill + abs(n) * fill * self.costs.commission_bps / 10_000
            self.shares += n
            self.ledger.paid.append(self.spent + before - self.cash - self.shares * price)
        self.ledger.bought.append(n)

    def close(self, price):
        self.mark(price)
        self.ledger.shares.append(self.shares)
        self.ledger.equity.append(self.cash + self.shares * price)

    def mark(self, price):
        if not self.closed and self.cash + self.shares * price <= RUIN * self.stake:
            self.cash, self.shares, self.closed = RUIN * self.stake, 0.0, True


def keep_ledger(opens, closes, seconds, targets, costs, money) -> Ledger:
    """Trade `targets`, starting with `money` in cash at the first close."""
    return keep_books([opens], [closes], seconds, [targets], costs, money, ())[0]


def keep_books(opens, closes, seconds, targets, costs, money, equal_at) -> list[Ledger]:
    """Keep an account per asset, all with the same bars; money moves at the opens `equal_at`.

    There, what the open accounts have together is divided equally, before any of them trades.
    """
    books = [Account(costs, money) for _ in opens]
    for t in range(1, len(seconds)):
        years = (seconds[t] - seconds[t - 1]) / (365 * 24 * 3600)
        for book, prices in zip(books, opens, strict=True):
            book.open(prices[t], years)
        if t in equal_at:
            alive = [(b, p[t]) for b, p in zip(books, opens, strict=True) if not b.closed]
            pot = sum(b.cash + b.shares * price for b, price in alive)
            for b, price in alive:
                b.pay_in(pot / len(alive) - (b.cash + b.shares * price))
        for book, wanted, prices in zip(books, targets, opens, strict=True):
            book.trade(wanted[t - 1], prices[t])
        for book, prices in zip(books, closes, strict=True):
            book.close(prices[t])
    return [book.ledger for book in books]
