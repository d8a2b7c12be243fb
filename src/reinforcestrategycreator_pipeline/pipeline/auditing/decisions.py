"""Decisions and fills under other later bars, and bar by bar."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.envs.span import AssetBars, TradingRules
from reinforcestrategycreator_pipeline.errors import RscError, blamed
from reinforcestrategycreator_pipeline.ohlcv import PRICES
from reinforcestrategycreator_pipeline.pipeline.auditing.outcome import Fault, Proof
from reinforcestrategycreator_pipeline.policies.base import Policy

STREAM = "each decision is the same from the bars up to it as from the whole span"
FILLS = (
    "no decision up to a close, no equity before and no fill at the next open changes with the "
    "bars after it"
)
_LEAST = 16


class DecisionAudit:
    """The audit of a policy on the bars of one asset.

    Parameters
    ----------
    subject : str
        Name of the strategy in proofs and findings.
    policy : Policy
        Policy that was fitted on earlier bars.
    asset : AssetBars
        Bars that it has not seen, T of them.
    rules : TradingRules
        Positions and costs.
    seconds : float
        Time for each check, about.
    rng : Generator
        Source of other later bars.

    Attributes
    ----------
    proofs, faults : list
        Checks and findings.
    """

    def __init__(
        self,
        subject: str,
        policy: Policy,
        asset: AssetBars,
        rules: TradingRules,
        seconds: float,
        rng: np.random.Generator,
    ) -> None:
        self._subject, self._policy, self._asset, self._rules = subject, policy, asset, rules
        self._seconds, self._rng = seconds, rng
        self._past = len(asset.columns["close"]) - len(asset.times)
        self.proofs: list[Proof] = []
        self.faults: list[Fault] = []

    def run(self) -> None:
        """Audit the decisions, then the fills."""
        # Bar by bar first: a policy that remembers has then seen no later bar.
        for check, how, audit in (("stream", STREAM, self._stream), ("fills", FILLS, self._fills)):
            try:
                with blamed(self._subject, RscError):
                    tried = audit()
            except RscError as error:
                text = f"{self._asset.symbol}: {str(error).rstrip('.')}"
                self.faults.append(Fault(self._subject, check, text, self._asset.symbol))
                continue
            self.proofs.append(Proof(self._subject, check, tried, self._possible, how))

    @property
    def _possible(self) -> int:
        return len(self._asset.times) - 1

    def _cuts(self, seconds: float) -> list[int]:
        """Return as many bars, evenly spaced, as the time allows if each takes `seconds`."""
        count = min(self._possible, max(_LEAST, int(self._seconds / max(seconds, 1e-9))))
        found: list[int] = np.unique(np.linspace(0, self._possible - 1, count).astype(int)).tolist()
        return found

    def _stream(self) -> int:
        """Compare decisions from the bars so far with those from the whole span."""
        start = time.perf_counter()
        self._chosen(0)
        cuts = self._cuts(time.perf_counter() - start)
        rows = [self._chosen(t) for t in cuts]
        table = self._policy.table(self._asset)
        for t, row in zip(cuts, rows, strict=True):
            differs = np.flatnonzero(table[t] != row)
            if len(differs):
                grid, held = self._policy.positions, int(differs[0])
                text = f"decides otherwise bar by bar: its target from {grid[held]:g} at row {t}"
                values = grid[int(table[t, held])], grid[int(row[held])]
                self._find("stream", text, t, t, *values)
                break
        return len(cuts)

    def _chosen(self, t: int) -> Ints:
        """Return the decisions at bar t from each previous target, from the bars up to it."""
        policy, stop = self._policy, self._past + t + 1
        history = policy.history
        bars = {
            name: values[max(0, stop - history) : stop].copy() if history else values[:0]
            for name, values in self._asset.columns.items()
        }
        row = self._asset.features[t : t + 1].astype(np.float64)
        chosen: Ints = np.asarray(policy.choose(row, bars if history else {}))[0]
        return chosen

    def _fills(self) -> int:
        """Compare what happens up to the fill after a bar with that under other later bars."""
        start = time.perf_counter()
        whole = self._trade(self._asset)
        cuts = self._cuts(2.0 * (time.perf_counter() - start))
        names = ("target", "equity", "turnover of the fill")
        for t in cuts:
            other = self._trade(self._with_other_future(t))
            for name, before, after in zip(names, whole, other, strict=True):
                differs = np.flatnonzero(before[: t + 1] != after[: t + 1])
                if len(differs):
                    row = int(differs[0])
                    text = f"looks ahead: its {name} at row {row} changes with the bars after {t}"
                    self._find("fills", text, row, t, float(before[row]), float(after[row]))
                    return len(cuts)
        return len(cuts)

    def _trade(self, asset: AssetBars) -> tuple[F64, F64, F64]:
        """Return the targets, the equity at each close, and the turnover at each open."""
        rules, targets = self._rules, self._policy.targets(asset)
        result = run_backtest("audit", asset, targets, rules.costs, rules.initial_equity)
        return np.asarray(targets), result.equity, result.turnover

    def _with_other_future(self, t: int) -> AssetBars:
        """Return the bars with others after bar t, but for the open at which its order fills."""
        asset, past = self._asset, self._past
        n = len(asset.times)
        order = t + 1 + self._rng.permutation(n - t - 1)
        factor = float(np.exp(self._rng.uniform(-1.0, 1.0)))

        def changed(values: F64, shift: int, scale: float, kept: int) -> F64:
            out = values.copy()
            out[shift + t + 1 :] = scale * values[shift + order]
            out[shift + t + 1 : shift + t + 1 + kept] = values[shift + t + 1 : shift + t + 1 + kept]
            return out

        features = asset.features.copy()
        features[t + 1 :] = asset.features[order]
        columns = {
            name: changed(values, past, factor if name in PRICES else 1.0, int(name == "open"))
            for name, values in asset.columns.items()
        }
        return replace(
            asset,
            open=changed(asset.open, 0, factor, 1),
            close=changed(asset.close, 0, factor, 0),
            features=features,
            columns=columns,
        )

    def _find(self, check: str, text: str, row: int, cut: int, before: float, after: float) -> None:
        asset = self._asset
        who = f"{asset.symbol}: {self._subject} {text}"
        stamp = asset.timestamps[row].isoformat()
        at = (asset.symbol, "", row, cut, stamp, before, after)
        self.faults.append(Fault(self._subject, check, who, *at))
