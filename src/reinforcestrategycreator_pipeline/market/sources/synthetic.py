"""Synthetic markets: a random walk, and markets with an edge of known size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.checks import (
    Ge,
    Gt,
    Le,
    Len,
    Lt,
    Strict,
    require,
    require_number,
)
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.limits import MAX_BARS
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.findings import Findings
from reinforcestrategycreator_pipeline.market.preparation import prepare
from reinforcestrategycreator_pipeline.market.sources import processes
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES
from reinforcestrategycreator_pipeline.market.validation import RawBars
from reinforcestrategycreator_pipeline.market.windows import last_moment, parse_instant
from reinforcestrategycreator_pipeline.memory import require_memory

_PROCESSES: dict[str, Callable[..., processes.Realization]] = {
    "random_walk": processes.random_walk,
    "ornstein_uhlenbeck": processes.ornstein_uhlenbeck,
    "regime": processes.regime,
    "ar1_signal": processes.ar1_signal,
    "product_signal": processes.product_signal,
    "gated_momentum": processes.gated_momentum,
    "sinusoids": processes.sinusoids,
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "random_walk": {"volatility": 0.01},
    "ornstein_uhlenbeck": {"volatility": 0.01, "half_life": 20.0},
    "regime": {"volatility": 0.01, "drift_bps": 20.0, "persistence": 0.98, "signal_noise": 0.5},
    "ar1_signal": {"volatility": 0.01, "phi": 0.95, "edge_bps": 30.0},
    "product_signal": {"volatility": 0.01, "phi": 0.97, "edge_bps": 20.0},
    "gated_momentum": {"volatility": 0.01, "phi": 0.95, "edge_bps": 30.0, "gate_phi": 0.98},
    "sinusoids": {
        "volatility": 0.0,
        "amplitudes_bps": (60.0, 40.0),
        "periods": (17.3, 41.7),
    },
}
_Bps: TypeAlias = Annotated[float, Ge(0), Le(1e3)]
_Size: TypeAlias = Annotated[float, Ge(1e-3), Le(1e4)]
_OWN = dict.fromkeys(name for own in _DEFAULTS.values() for name in own if name != "volatility")
_WITHOUT_SIGNALS = ("random_walk", "ornstein_uhlenbeck")
_START = pd.Timestamp("2000-01-01", tz="UTC")
_LATEST = pd.Timestamp("2200-01-01", tz="UTC")
_BYTES_PER_BAR = 160  # five columns and the times, while they are made and checked
_BYTES_PER_COLUMN = 32  # of side data, for each bar
_START_PRICE = 100.0
_WICK = 0.25  # high and low beyond open and close, in standard deviations of the log return
_VOLUME, _VOLUME_SPREAD = 1e6, 0.3


@SOURCES.register("synthetic")
@dataclass(frozen=True)
class SyntheticSource(Strict):
    """Seeded markets with no edge (random_walk) or an edge of known size.

    Each bar opens at the previous close. Symbols are independent realizations. Parameters of
    another kind are rejected; None selects the default of the kind.

    Parameters
    ----------
    kind : str
        Price process: random_walk, ornstein_uhlenbeck, regime, ar1_signal, product_signal,
        gated_momentum or sinusoids.
    n_bars : int
        Number of bars per symbol, >= 2.
    symbols : tuple of str
        Names of the symbols.
    bar_seconds : float
        Bar spacing in seconds; the first bar opens at 2000-01-01 00:00 UTC.
    volatility : float, optional
        Standard deviation of a bar's noise in log price; default 0.01, and 0 for sinusoids.
    half_life : float, optional
        Number of bars in which a deviation halves, for ornstein_uhlenbeck; default 20.
    drift_bps, persistence, signal_noise : float, optional
        For regime: drift per bar in basis points (20), probability of keeping the state (0.98),
        and noise of the signal (0.5).
    phi, edge_bps : float, optional
        Autocorrelation of the signals, and expected return in basis points: for ar1_signal (0.95;
        30) and gated_momentum (0.95; 30) for a signal of one standard deviation, for
        product_signal (0.97; 20) in the direction of the product's sign.
    gate_phi : float, optional
        For gated_momentum: autocorrelation of the gate (0.98).
    amplitudes_bps, periods : tuple of two floats, optional
        For sinusoids: amplitudes in basis points (60, 40) and periods in bars (17.3, 41.7).
    irrelevant : int
        Number of visible columns noise_1, noise_2, ... without a relation to prices, in [0, 1000];
        0 for the kinds without visible signals, random_walk and ornstein_uhlenbeck.
    start, end : str, optional
        ISO 8601 dates or times in UTC: of the `n_bars`, those are kept that open at `start` or
        later, and that close by the end of the day `end`, or by that time. What is kept does not
        depend on them.
    """

    kind: Literal[
        "random_walk",
        "ornstein_uhlenbeck",
        "regime",
        "ar1_signal",
        "product_signal",
        "gated_momentum",
        "sinusoids",
    ] = "random_walk"
    n_bars: Annotated[int, Ge(2), Le(MAX_BARS)] = 4000
    symbols: Annotated[tuple[Annotated[str, Len(1)], ...], Len(1, True, 10_000)] = ("SYN",)
    bar_seconds: Annotated[float, Ge(1e-3), Le(3e9)] = 86400.0
    volatility: Annotated[float, Ge(0), Le(1)] | None = None
    half_life: Annotated[float, Ge(1e-2), Le(1e9)] | None = None
    drift_bps: _Bps | None = None
    persistence: Annotated[float, Gt(0), Lt(1)] | None = None
    signal_noise: Annotated[float, Ge(0), Le(1e6)] | None = None
    phi: Annotated[float, Gt(-1), Lt(1)] | None = None
    edge_bps: _Bps | None = None
    gate_phi: Annotated[float, Gt(-1), Lt(1)] | None = None
    amplitudes_bps: tuple[_Size, _Size] | None = None
    periods: tuple[_Size, _Size] | None = None
    irrelevant: Annotated[int, Ge(0), Le(1000)] = 0
    start: str | None = None
    end: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        owner = "SyntheticSource"
        days = self.n_bars * self.bar_seconds / 86400
        most = (_LATEST - _START).days
        rule = f"so few that they end before {_LATEST.year} ({most} days at bar_seconds a bar)"
        require(days <= most, owner, "n_bars", rule, self.n_bars)
        self._kept()
        bytes_per_bar = _BYTES_PER_BAR + _BYTES_PER_COLUMN * self.irrelevant
        needed = self.n_bars * len(self.symbols) * bytes_per_bar
        require_memory(needed, owner, "n_bars", self.n_bars)
        for name in _OWN:
            if getattr(self, name) is not None and name not in _DEFAULTS[self.kind]:
                kinds = [kind for kind, values in _DEFAULTS.items() if name in values]
                raise ConfigError(
                    f"The {name} parameter of {owner} belongs to the kind {', '.join(kinds)}, "
                    f"but the kind is {self.kind}."
                )
        if self.kind in _WITHOUT_SIGNALS:
            rule = f"0 for the kind {self.kind}, which has no visible signals"
            require(self.irrelevant == 0, owner, "irrelevant", rule, self.irrelevant)
            require_number(owner, "volatility", self.process_parameters()["volatility"], above=0)

    def process_parameters(self) -> dict[str, Any]:
        """Return the parameters of the process, defaults filled in."""
        return {
            name: default if getattr(self, name) is None else getattr(self, name)
            for name, default in _DEFAULTS[self.kind].items()
        }

    def _kept(self) -> slice:
        """Return which of the bars are kept."""
        step, first, last = round(self.bar_seconds * 1e9), 0, self.n_bars
        if self.start is not None:
            start = parse_instant("SyntheticSource", "start", self.start)
            first = max(-((_START.value - start.value) // step), 0)
        if self.end is not None:
            end = last_moment("SyntheticSource", "end", self.end, "UTC")
            last = min((end.value - _START.value) // step, last)
        if last - first < 2:
            bars = f"{self.n_bars:,} bars from {_START.date()} on, {self.bar_seconds:g} s apart"
            raise ConfigError(
                f"Fewer than two bars of SyntheticSource lie between start {self.start} and end "
                f"{self.end}: it has {bars}."
            )
        return slice(first, last)

    def fingerprint(self) -> dict[str, str]:
        """Return nothing: parameters and seed determine the data."""
        return {}

    def load(self, rng: np.random.Generator) -> MarketData:
        """Return one realization per symbol, drawn in the order of `symbols`."""
        step = pd.Timedelta(round(self.bar_seconds * 1e9), "ns")
        offsets = np.arange(1, self.n_bars + 1) * step.value
        stamps = pd.DatetimeIndex(_START.value + offsets, tz="UTC")
        frames = [self._frame(rng, stamps) for _ in self.symbols]
        if self.irrelevant:  # drawn after all prices, which are the same with and without them
            frames = [
                frame.assign(**processes.irrelevant(rng, self.n_bars, self.irrelevant))
                for frame in frames
            ]
        kept = self._kept()
        raws = [
            RawBars(symbol, "synthetic", frame.iloc[kept])
            for symbol, frame in zip(self.symbols, frames, strict=True)
        ]
        parameters = self.process_parameters()
        if self.irrelevant:
            parameters["irrelevant"] = self.irrelevant
        note = f"synthetic: {self.kind} with " + ", ".join(
            f"{k} {v}" for k, v in parameters.items()
        )
        provenance = {
            "source": "synthetic",
            "kind": self.kind,
            "parameters": {
                k: list(v) if isinstance(v, tuple) else v for k, v in parameters.items()
            },
        }
        return prepare(raws, provenance, found=Findings([f"{note}."]))

    def _frame(self, rng: np.random.Generator, stamps: pd.DatetimeIndex) -> pd.DataFrame:
        path = _PROCESSES[self.kind](rng, self.n_bars, **self.process_parameters())
        level = path.start + np.concatenate([[0.0], np.cumsum(path.log_returns)])
        with np.errstate(over="ignore"):  # validation rejects infinities by name
            price = _START_PRICE * np.exp(level)
        opens, closes = price[:-1], price[1:]
        wick = _WICK * float(np.sqrt(np.mean(path.log_returns**2)))
        up, down = np.abs(rng.standard_normal((2, self.n_bars))) * wick
        columns = {
            "open": opens,
            "high": np.maximum(opens, closes) * np.exp(up),
            "low": np.minimum(opens, closes) * np.exp(-down),
            "close": closes,
            "volume": _VOLUME * np.exp(_VOLUME_SPREAD * rng.standard_normal(self.n_bars)),
            **path.visible,
        }
        return pd.DataFrame(columns, index=stamps)
