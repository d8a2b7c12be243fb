"""Paper trading: a policy and a broker, one bar at a time, as in live trading.

At the close of bar t the policy chooses a target from the features of that bar and its previous
target. At the open of bar t + 1, equity and price are known, and the target becomes an order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64, Array
from reinforcestrategycreator_pipeline.deployment.brokers.base import (
    Account,
    Broker,
    Fill,
    Order,
    OrderError,
    Orders,
)
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import (
    PaperMarket,
    SimulatedBroker,
)
from reinforcestrategycreator_pipeline.deployment.live_bars import BarRules, LiveBar, split_ratio
from reinforcestrategycreator_pipeline.deployment.state_files import (
    read_state,
    require_same,
    restoring,
)
from reinforcestrategycreator_pipeline.deployment.streaming import FeatureStream, RecordedBars
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, RunError
from reinforcestrategycreator_pipeline.execution.account import shares_to_trade
from reinforcestrategycreator_pipeline.policies.base import Confidence, Policy
from reinforcestrategycreator_pipeline.storage.tensor_files import tensors_sha256, write_tensors

FORMAT = "paper-trader/1"

MakeBroker = Callable[[PaperMarket], Broker]


@dataclass(frozen=True, eq=False)
class PaperBar:
    """The account and the decision at the close of one bar.

    Attributes
    ----------
    time : Timestamp
        Close of the bar, UTC.
    equity : float
        Equity at the close, in money, net of all costs.
    exposure : float
        Target in force since the open of the bar; 0 before the second bar, after ruin, and if the
        gap before that open ruins the account.
    features : ndarray of float64, shape (F,)
        Features that the policy received, unscaled; NaN after ruin.
    target : float
        Exposure to trade to at the next open; 0 after ruin.
    fills : tuple of Fill
        Executions in the bar, in order of time.
    confidence : Confidence or None
        Advantage and spread of the decision, in bps; None after ruin, and if the policy does not
        say.
    """

    time: pd.Timestamp
    equity: float
    exposure: float
    features: F64
    target: float
    fills: tuple[Fill, ...]
    confidence: Confidence | None = None


class Decided(NamedTuple):
    """Bars that a trader has taken at once; see `PaperTrader.begin`.

    Attributes
    ----------
    before : int or None
        Close of the bar before them, nanoseconds since 1970 UTC; None if there was none.
    times : list of int
        Closes of the n bars.
    open, close : list of float
        Prices of the bars.
    features : ndarray of float64, shape (n, F)
        Unscaled features of the bars.
    choices : list of (list of int)
        For each bar, the index of the target chosen from each previous target.
    confidence : Confidence or None
        How sure the policy is, each of shape (n, positions); None if it does not say.
    """

    before: int | None
    times: list[int]
    open: list[float]
    close: list[float]
    features: F64
    choices: list[list[int]]
    confidence: Confidence | None


class Stepped(NamedTuple):
    """The account at the close of a bar that was taken with others.

    Attributes
    ----------
    equity, exposure, fills
        As in `PaperBar`.
    held : int or None
        Index of the target before the decision at this close; None if the account is ruined, which
        decides nothing.
    """

    equity: float
    exposure: float
    fills: tuple[Fill, ...]
    held: int | None


class PaperTrader:
    """Trade the bars of one symbol as they arrive.

    Parameters
    ----------
    policy : Policy
        Policy to trade, with the specifications of its features.
    rules : BarRules
        What the bars must be like: ``read_schema(package).rules_of(symbol)``.
    market : PaperMarket
        Market that receives the prices as they become known, and whose costs size the orders.
    broker : callable
        Function from the market to the broker to trade with, which has no position; by default,
        the market's own account.

    Raises
    ------
    ConfigError
        If the market is of another symbol.
    """

    def __init__(
        self,
        policy: Policy,
        rules: BarRules,
        market: PaperMarket,
        broker: MakeBroker = SimulatedBroker,
    ) -> None:
        if market.symbol != rules.symbol:
            raise ConfigError(
                f"the market of a paper trader must be of {rules.symbol}. Got {market.symbol}."
            )
        self.policy, self.market = policy, market
        self.stream = FeatureStream(policy.inputs.parsed(), rules, policy.history)
        self.broker = broker(market)
        self._orders = Orders(self.broker)
        self._held = policy.flat
        self._began = False  # whether a first decision was made
        self._failure = ""

    def __repr__(self) -> str:
        last = f"last bar {self.time}" if self.time is not None else "no bar yet"
        return f"PaperTrader({self.symbol!r}, {last}, target {self.target:g})"

    @property
    def symbol(self) -> str:
        """Symbol of the asset."""
        return self.market.symbol

    @property
    def time(self) -> pd.Timestamp | None:
        """Close of the latest bar, UTC; None before the first."""
        return self.stream.time

    @property
    def account(self) -> Account:
        """Current money in the account."""
        return self.broker.account()

    @property
    def target(self) -> float:
        """Exposure to trade to at the next open."""
        return self.policy.positions[self._held]

    def warm_up(self, frame: pd.DataFrame) -> None:
        """Feed recorded bars from before the first decision, indexed by close time.

        Raises
        ------
        LiveBarError
            If a bar breaks a rule that no real bar breaks.
        RunError
            If the trader has decided already.
        """
        if self._began:
            raise RunError(f"{self.symbol}: the history must come before the first decision.")
        self.stream.warm_up(frame)

    def push(
        self,
        bar: LiveBar,
        *,
        confirmed: bool = False,
        now: pd.Timestamp | None = None,
        deposit: float = 0.0,
    ) -> PaperBar:
        """Trade at the open of a bar that has just closed, and decide at its close.

        If the bar is rejected, or its features or the decision cannot be computed, nothing has
        changed. If the broker fails afterwards, the trader stops: load its last saved state, and
        push the bar again; an order that was sent before is not executed twice.

        Parameters
        ----------
        bar : LiveBar
            Bar that has just closed.
        confirmed : bool
            Whether the caller knows that the bar is real, however unlike the history it is.
        now : Timestamp, optional
            Current time; by default, the system's.
        deposit : float
            Money that comes into the account at the open of the bar, before it trades, or leaves
            it if negative; not before the first decision.

        Raises
        ------
        LiveBarError
            If the bar breaks a rule.
        ConfigError
            If the policy's specifications yield other features than it was trained on.
        DataError
            If there are too few bars before the first decision.
        FeatureError, NonFiniteError
            If a feature or an action value is not finite.
        OrderError
            If the broker rejects an order, or if its updates are inconsistent.
        RunError
            If the trader has stopped.
        """
        self._require_running()
        if not math.isfinite(deposit) or (deposit and not self._began):
            raise DataError(
                f"{self.symbol}: a deposit must be finite, and 0 before the first decision. "
                f"Got {deposit} instead."
            )
        time, values = self.stream.check(bar, confirmed=confirmed, now=now)
        decided = self.stream.time
        self._failure = f"interrupted at the bar of {time}"  # until all is done, or undone
        self.stream.accept(time, values)
        try:
            alive = not (self._began and self.broker.account().blocked)
            features, held, sure = self._decide() if alive else self._no_decision()
        except BaseException:
            self.stream.undo(decided)
            self._failure = ""
            raise
        before = None if decided is None else decided.value
        try:
            booked = self._book(values["open"], values["close"], time.value, before, deposit)
        except BaseException as error:
            self._failure = f"{type(error).__name__} at the bar of {time}"
            raise
        self._failure = ""
        account, exposure, fills = booked
        if account.blocked:
            features, held, sure = self._no_decision()
        self._held = held
        target = 0.0 if account.blocked else self.target
        return PaperBar(time, account.equity, exposure, features, target, fills, sure)

    def begin(self, bars: RecordedBars) -> Decided | None:
        """Take recorded bars at once: their features and decisions are computed as tables.

        As `push` does bar by bar, with ``confirmed=True``. Each of the bars is then to be traded by
        `step`, in order; until then, the trader does nothing else.

        Returns
        -------
        Decided or None
            What `step` needs; None, and nothing has changed, if `push` would raise for a bar or
            its features: it says why.

        Raises
        ------
        ConfigError, FeatureError, NonFiniteError, RunError
            As `push`; nothing has changed.
        """
        self._require_running()
        stream, policy = self.stream, self.policy
        if not stream.obvious(bars) or stream.count < policy.inputs.lookback:
            return None
        found = stream.rows(bars)
        if found is None:
            return None
        features = self._checked(found)[1]
        past = stream.latest(max(policy.history - 1, 0))
        columns = dict(zip(stream.rules.columns, bars.rows, strict=True))
        given = features, {name: np.concatenate([past[name], x]) for name, x in columns.items()}
        decided = Decided(
            stream.time.value if stream.time is not None else None,
            bars.times.tolist(),
            columns["open"].tolist(),
            columns["close"].tolist(),
            features,
            policy.choose(*given).tolist(),
            policy.confidence(*given),
        )
        stream.extend(bars)
        self._failure = f"interrupted in the bars up to that of {stream.time}"
        return decided

    def step(self, decided: Decided, i: int, deposit: float = 0.0) -> Stepped:
        """Trade bar `i` of those that `begin` took, and decide at its close.

        Raises
        ------
        OrderError
            If the broker rejects an order, or if its updates are inconsistent.
        """
        before = decided.times[i - 1] if i else decided.before
        account, exposure, fills = self._book(
            decided.open[i], decided.close[i], decided.times[i], before, deposit
        )
        held = self._held
        if not account.blocked:
            self._held = decided.choices[i][held]
        if i == len(decided.times) - 1:
            self._failure = ""
        return Stepped(account.equity, exposure, fills, None if account.blocked else held)

    def split(self, new: int, old: int = 1) -> None:
        """Adjust bars and shares held for a stock split, before the first bar after it.

        A broker behind an account of its own must have adjusted its positions.

        Parameters
        ----------
        new, old : int
            Number of new shares for this number of old shares, >= 1: 2 and 1 halve the price.

        Raises
        ------
        ConfigError
            If a number is not an integer >= 1.
        RunError
            If the trader has stopped.
        """
        self._require_running()
        ratio = split_ratio(new, old)
        self._failure = f"interrupted at the split {new}:{old}"  # until all is done
        self.stream.split(new, old)
        self.market.split(ratio)
        self._failure = ""

    def save(self, path: str | Path) -> None:
        """Write the state to one sealed file, atomically.

        It holds the bars that the features need, the account, the orders and the previous target.
        A broker with state of its own, other than that of its market, must keep it itself.
        """
        tensors, header = self.to_parts()
        write_tensors(path, tensors, header)

    def to_parts(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the tensors and the JSON-serializable header of the state.

        Raises
        ------
        RunError
            If the trader has stopped.
        """
        if self._failure:
            raise RunError(f"{self.symbol}: the trader has stopped and cannot be saved.")
        tensors, header = self.stream.to_parts()
        own = {
            "format": FORMAT,
            "policy": fingerprint(self.policy),
            "market": self.market.to_json(),
            "orders": self._orders.to_json(),
            "held": self._held,
            "began": self._began,
        }
        return tensors, {**header, **own}

    @classmethod
    def load(
        cls,
        path: str | Path,
        policy: Policy,
        rules: BarRules,
        broker: MakeBroker = SimulatedBroker,
    ) -> PaperTrader:
        """Return a trader that goes on from a saved state and decides the same, to the bit.

        Parameters
        ----------
        path : path
            File that `save` wrote.
        policy, rules, broker
            Arguments that made the trader; the file names no code that would be loaded.

        Raises
        ------
        CheckpointError
            If the file is missing, damaged, of another format, or was saved with another policy or
            other rules.
        """
        tensors, header = read_state(path, FORMAT)
        with restoring(path):
            require_same(str(path), "policy", header["policy"], fingerprint(policy))
            symbol = {"symbol": header["stream"]["rules"]["symbol"]}
            require_same(str(path), "rules", symbol, {"symbol": rules.symbol})
            market = PaperMarket.from_json(header["market"])
            trader = cls(policy, rules, market, broker)
            trader.stream.restore(tensors, header, str(path))
            trader._orders.restore(header["orders"])
            held, began = header["held"], header["began"]
            if not isinstance(began, bool) or held not in range(len(policy.positions)):
                raise ValueError(f"not a decision: {held!r}, {began!r}")
            trader._held, trader._began = int(held), began
        return trader

    def _decide(self) -> tuple[F64, int, Confidence | None]:
        """Return the newest bar's features, the index of the target chosen, and how sure it is."""
        needed = self.policy.inputs.lookback
        newest = self.stream.row() if self.stream.count > needed else None
        if newest is None:
            raise DataError(
                f"{self.symbol}: the features need {needed} bars before the first decision. "
                f"Got {self.stream.count - 1} instead."
            )
        self._checked(newest)
        bars = self.stream.latest(self.policy.history)
        given = newest[1], self._held, bars
        return newest[1], self.policy.decide(*given), self.policy.confidence_of(*given)

    def _checked(self, found: tuple[tuple[str, ...], F64]) -> tuple[tuple[str, ...], F64]:
        """Return names and values of features, which must be those of the policy."""
        names = self.policy.inputs.names
        if found[0] != names:
            raise ConfigError(
                f"{self.symbol}: the policy's features are {', '.join(names)}. "
                f"Got {', '.join(found[0])} instead."
            )
        return found

    def _book(
        self, open_: float, close: float, time: int, decided: int | None, deposit: float
    ) -> tuple[Account, float, tuple[Fill, ...]]:
        """Trade through one bar; return the account at its close, the target in force, and fills.

        Parameters
        ----------
        open_, close : float
            Prices of the bar.
        time, decided : int
            Closes of the bar and of the one before, nanoseconds since 1970 UTC.
        deposit : float
            Money that comes in at the open.
        """
        exposure, fills = 0.0, tuple[Fill, ...]()
        if self._began and decided is not None:
            exposure, fills = self._trade(open_, time, decided, deposit)
        self.market.close(close, time)
        account = self.broker.account()
        self._orders.forget_done()
        self._began = True
        return account, exposure, fills

    def _trade(
        self, open_: float, time: int, decided: int, deposit: float
    ) -> tuple[float, tuple[Fill, ...]]:
        """Open the bar, and trade to the target; the time of the decision names the order."""
        self.market.open(open_, time)
        if deposit:
            self.market.deposit(deposit)
        account = self.broker.account()
        if account.blocked:
            return 0.0, ()
        symbol, target = self.symbol, self.target
        shares = self.broker.positions().get(symbol, 0.0)
        costs = self.market.ledger.costs
        quantity = shares_to_trade(target, account.equity, shares, open_, costs)
        if quantity != 0.0:
            self._orders.submit(Order(f"{symbol}-{decided}", symbol, quantity))
        updates = self._orders.poll()  # an earlier order may have been filled late
        for update in updates:
            if update.state == "rejected":
                raise OrderError(f"{symbol}: the broker rejected an order: {update.reason}")
        return target, tuple(update.fill for update in updates if update.fill is not None)

    def _require_running(self) -> None:
        if self._failure:
            raise RunError(
                f"{self.symbol}: the trader has stopped: {self._failure}. Load its last saved "
                "state."
            )

    def _no_decision(self) -> tuple[F64, int, None]:
        return np.full(len(self.policy.inputs.names), np.nan), self._held, None


def fingerprint(policy: Policy) -> str:
    """Return the SHA-256 of everything that a policy decides by."""
    tensors, header = policy.to_parts()
    kind = f"{type(policy).__module__}:{type(policy).__qualname__}"
    return tensors_sha256(tensors, json.dumps({**header, "kind": kind}, sort_keys=True))
