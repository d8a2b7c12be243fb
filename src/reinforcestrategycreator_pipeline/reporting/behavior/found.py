"""The measured behavior of a policy, and its file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.files import write_text


@dataclass(frozen=True)
class Bin:
    """Decisions with about the same value of a feature.

    Attributes
    ----------
    value : float
        Mean value of the feature.
    count : int
        Number of decisions.
    exposure : float
        Mean target exposure that the policy chose.
    advantage_bps : float or None
        Mean advantage over staying at the previous target, in bps; None if the policy does not say.
    """

    value: float
    count: int
    exposure: float
    advantage_bps: float | None


@dataclass(frozen=True)
class Importance:
    """The outcome of permuting one feature across the bars of each asset and window.

    Attributes
    ----------
    changed : float
        Share of the decisions that differ, each from the target that was held.
    growth : float or None
        Change of log growth net of costs, the mean over assets and permutations; None after ruin.
    sd : float or None
        Standard deviation of that change over the permutations; None if there is only one.
    """

    changed: float
    growth: float | None
    sd: float | None


@dataclass(frozen=True)
class Seen:
    """A feature at a decision: its value, and its distance from the mean of the training bars.

    Attributes
    ----------
    feature : str
        Name of the feature.
    value : float
        Value before scaling.
    z : float
        Value minus mean, in standard deviations of the bars that the policy was trained on.
    """

    feature: str
    value: float
    z: float


@dataclass(frozen=True)
class LargestTrade:
    """One of the trades with the largest absolute log gains.

    Attributes
    ----------
    symbol, side : str
        Asset, and ``"long"`` or ``"short"``.
    decided, entry, exit : str
        Closes at which it was decided, entered (the close of that bar) and left, ISO 8601 in UTC.
    open : bool
        Whether it is open at the end of the data.
    exposure : float
        Target exposure at entry.
    bars : int
        Number of bars held.
    log_gain : float
        Logarithm of 1 + return, net of costs.
    pnl, costs : float
        Net gain and costs, in money.
    seen : tuple of Seen
        Features that stood furthest from their means when it was decided, the furthest first.
    advantage_bps, spread_bps : float or None
        Confidence of the policy in the decision to enter; None if it does not say.
    """

    symbol: str
    side: str
    decided: str
    entry: str
    exit: str
    open: bool
    exposure: float
    bars: int
    log_gain: float
    pnl: float
    costs: float
    seen: tuple[Seen, ...]
    advantage_bps: float | None
    spread_bps: float | None


@dataclass(frozen=True)
class Behavior:
    """Use that a policy makes of its features, and its largest trades.

    Attributes
    ----------
    responses : mapping of str to tuple of Bin
        Decisions by tenths of each feature's values, from low to high.
    importances : mapping of str to Importance
        What permuting each feature changes.
    decisions, assets, permutations : int
        Number of decisions whose features were permuted, of their assets, and of permutations.
    trades : tuple of LargestTrade
        Trades with the largest absolute log gains, the largest first.
    """

    responses: Mapping[str, tuple[Bin, ...]]
    importances: Mapping[str, Importance]
    decisions: int
    assets: int
    permutations: int
    trades: tuple[LargestTrade, ...]

    def write(self, path: Path) -> None:
        """Write the file, atomically."""
        write_text(path, json.dumps(asdict(self), indent=1, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Behavior:
        """Read a file that `write` wrote.

        Raises
        ------
        RunError
            If it is missing, or not such a file.
        """
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: cannot be read: {error}.") from error

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Behavior:
        """Restore from a mapping of JSON."""
        return cls(
            **{
                **found,
                "responses": {
                    name: tuple(Bin(**each) for each in bins)
                    for name, bins in found["responses"].items()
                },
                "importances": {n: Importance(**x) for n, x in found["importances"].items()},
                "trades": tuple(
                    LargestTrade(**{**trade, "seen": tuple(Seen(**x) for x in trade["seen"])})
                    for trade in found["trades"]
                ),
            }
        )
