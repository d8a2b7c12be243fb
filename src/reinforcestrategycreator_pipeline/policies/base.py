"""Strategies and policies: a strategy is fitted on a span of the market and returns a policy.

A strategy is a frozen dataclass whose fields are its configuration, with a method `fit`. It returns
a `Policy`: a grid of target exposures, and for any bars the choice from each previous target. No
package above this one depends on how either works.
"""

from __future__ import annotations

import dataclasses
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.arrays import F64, Array, Ints
from reinforcestrategycreator_pipeline.envs.grid import check_positions, flat_index, follow
from reinforcestrategycreator_pipeline.errors import (
    CheckpointError,
    ConfigError,
    NonFiniteError,
    shorten,
)
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.registry import Registry
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors, write_tensors
from reinforcestrategycreator_pipeline.trust import load_object

if TYPE_CHECKING:  # a package's policy must load with NumPy and safetensors alone
    from reinforcestrategycreator_pipeline.envs.span import AssetBars, MarketSpan

# By bar: its features, and the index of the target chosen from each previous target.
Features: TypeAlias = Annotated[F64, "rows features"]
Choices: TypeAlias = Annotated[Ints, "rows {len(self.positions)}"]
Columns = Mapping[str, F64]
Row = dict[str, float | None]

FORMAT = "policy/3"
_CHUNK = 2048  # bars at once, to limit memory for a long table


def _say_nothing(*_: Any, **__: Any) -> None:
    pass


class Resumable(Protocol):
    """Interface of a training loop that can be resumed."""

    @property
    def step(self) -> int:
        """Return the number of training steps done."""
        ...

    def resume(self) -> list[str]:
        """Continue from the newest valid checkpoint; return a sentence for each damaged one."""
        ...


@dataclass
class Work:
    """Resources for a fit, and places for its results.

    Attributes
    ----------
    seeds : Seeds
        The only source of random numbers.
    folder : Path or None
        Folder for checkpoints; with None, the fit cannot be resumed.
    resume : bool
        Whether `folder` may hold the state of the same fit, interrupted earlier.
    progress : callable
        ``progress(done, total, **texts)`` reports progress.
    say : callable
        ``say(sentence)`` tells the user something.
    log : callable
        ``log(event, **values)`` writes to the log of the run only.
    history : list of dict
        One row per logged step; the fit appends.
    facts : dict
        JSON-serializable facts about the fit; the fit fills it.
    """

    seeds: Seeds
    folder: Path | None = None
    resume: bool = False
    progress: Callable[..., None] = _say_nothing
    say: Callable[[str], None] = _say_nothing
    log: Callable[..., None] = _say_nothing
    history: list[Row] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def resume_training(self, trainer: Resumable, total: int) -> None:
        """Let a trainer go on from its newest valid checkpoint, if this fit is resumed.

        Parameters
        ----------
        trainer : Resumable
            Trainer whose `resume` restores its state.
        total : int
            Training steps of the whole fit.
        """
        if self.resume:
            for sentence in trainer.resume():
                self.say(f"skipped a damaged checkpoint: {sentence}")
            self.log("training resumed", step=trainer.step)
            self.progress(trainer.step, total)


class Strategy(Protocol):
    """Interface of a strategy: a frozen dataclass whose fields are its configuration."""

    def fit(self, train: MarketSpan, validation: MarketSpan, work: Work) -> Policy:
        """Fit a policy on these spans, using no other market data.

        Parameters
        ----------
        train, validation : MarketSpan
            Spans for fitting and for selection, the second after the first.
        work : Work
            Random numbers, folder, and callbacks.

        Raises
        ------
        KeyboardInterrupt
            If the user asked to stop, after the state needed to resume was saved.
        """
        ...


STRATEGIES: Registry[type[Strategy]] = Registry("strategy", ("fit",))


class Confidence(NamedTuple):
    """Certainty of a policy about its decisions; both arrays have the shape of the decisions.

    Attributes
    ----------
    advantage_bps : ndarray of float64
        Mean advantage of the chosen target over staying at the previous one: expected discounted
        log growth net of costs, in bps; 0 where the policy stays.
    spread_bps : ndarray of float64
        Standard deviation of that advantage over the agents that were asked, in bps, >= 0.
    """

    advantage_bps: F64
    spread_bps: F64

    def along(self, path: Ints, start: int) -> Confidence:
        """Return what belongs to a path of targets.

        Parameters
        ----------
        path : ndarray of int, shape (T,)
            Index of each decision's target. The arrays have the shape (T, n): by decision and
            previous target.
        start : int
            Index of the target before the first decision.

        Returns
        -------
        Confidence
            Each of shape (T,).
        """
        rows, previous = np.arange(len(path)), np.concatenate([[start], path[:-1]])
        return Confidence(*(values[rows, previous] for values in self))


@dataclass(frozen=True, eq=False)
class Policy(ABC):
    """Chooses a target exposure at each close, with equal results bar by bar and for a whole span.

    A subclass adds fields and defines `choose`. Fields that are arrays, fitted scalers, or
    JSON-serializable are saved and loaded automatically.

    Parameters
    ----------
    positions : tuple of float
        Grid of target exposures as fractions of equity, increasing, including 0.
    inputs : Inputs
        Description of the features that the policy reads.

    Raises
    ------
    ConfigError
        If the parts do not fit together.
    """

    positions: tuple[float, ...]
    inputs: Inputs

    reads_features: ClassVar[bool] = True
    """Whether decisions may depend on the features; if not, nobody needs to compute them again."""
    causal: ClassVar[bool] = True
    """Whether decisions use only past data; false for the oracle."""

    def __init_subclass__(cls) -> None:
        if "__repr__" not in cls.__dict__:  # else dataclass makes one that lists all arrays
            setattr(cls, "__repr__", Policy.__repr__)  # noqa: B010  mypy forbids the assignment

    def __repr__(self) -> str:
        grid = ", ".join(f"{position:g}" for position in self.positions)
        name, n = type(self).__name__, len(self.inputs.names)
        return f"{name}({self.describe()}; exposures {grid}; {n} features)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", check_positions(self.positions, "Policy"))

    @property
    def flat(self) -> int:
        """Index of the exposure 0, the previous target of a new account."""
        return flat_index(self.positions)

    @property
    def history(self) -> int:
        """Number of bars that a decision reads beside the features, the current one included."""
        return 0

    @abstractmethod
    def choose(self, features: Features, bars: Columns) -> Choices:
        """Return the decision at each bar from each previous target.

        Parameters
        ----------
        features : ndarray of float64, shape (R, F)
            Unscaled features, finite.
        bars : mapping of str to ndarray of float64, shape (P + R,)
            Bars by column, with P bars of history first; row r of the features belongs to bar
            P + r. P is at least `history` - 1 if that many bars exist.

        Returns
        -------
        ndarray of int, shape (R, n)
            Indices in `positions`. A row must not depend on later rows, and must be bit-identical
            whatever other rows are computed with it.
        """

    def choose_fast(self, features: Features, bars: Columns) -> Choices:
        """Return what `choose` does, but for the promise of equal bits.

        For statistics over very many bars: a policy may compute rows together, and where two
        targets are as good as each other but for rounding, take the other one.
        """
        return self.choose(features, bars)

    def confidence(self, features: Features, bars: Columns) -> Confidence | None:
        """Return how sure the policy is of each decision that `choose` returns.

        Parameters
        ----------
        features, bars
            As in `choose`.

        Returns
        -------
        Confidence or None
            Finite, each of shape (R, n), with the same promises for its rows as `choose`; None,
            for whatever rows, if the policy does not say.
        """
        return None

    def describe(self) -> str:
        """Return a one-line description of the policy."""
        return type(self).__name__

    def table(
        self, asset: AssetBars
    ) -> Annotated[Ints, "{len(asset.times)-1} {len(self.positions)}"]:
        """Return the decision of every bar but the last, from every previous target.

        Parameters
        ----------
        asset : AssetBars
            T bars with unscaled features.

        Returns
        -------
        ndarray of int, shape (T - 1, n)
            Indices in `positions`.

        Raises
        ------
        NonFiniteError
            If a feature, or a value computed from it, is not finite.
        """
        return np.concatenate([self.choose(*chunk) for chunk in self._chunks(asset)])

    def confidence_table(self, asset: AssetBars) -> Confidence | None:
        """Return how sure the policy is of each decision of `table`.

        Returns
        -------
        Confidence or None
            Each of shape (T - 1, n); None if the policy does not say.

        Raises
        ------
        NonFiniteError
            If a feature, or a value computed from it, is not finite.
        """
        parts = []
        for chunk in self._chunks(asset):
            sure = self.confidence(*chunk)
            if sure is None:
                return None
            parts.append(sure)
        return Confidence(*(np.concatenate(x) for x in zip(*parts, strict=True)))

    def targets(self, asset: AssetBars) -> Annotated[F64, "{len(asset.times)-1}"]:
        """Return the target exposures of every bar but the last, starting flat, shape (T - 1,)."""
        return np.array(self.positions)[follow(self.table(asset), self.flat)]

    def confidence_of_targets(self, asset: AssetBars) -> Confidence | None:
        """Return how sure the policy is of each of its `targets`.

        Returns
        -------
        Confidence or None
            Each of shape (T - 1,); None if the policy does not say.

        Raises
        ------
        NonFiniteError
            If a feature, or a value computed from it, is not finite.
        """
        sure = self.confidence_table(asset)
        if sure is None:
            return None
        return sure.along(follow(self.table(asset), self.flat), self.flat)

    def decide(self, features: ArrayLike, held: int, bars: Columns | None = None) -> int:
        """Return the index in `positions` of the target chosen at the close of the latest bar.

        Parameters
        ----------
        features : array_like of float, shape (F,)
            Unscaled features of that bar.
        held : int
            Index in `positions` of the previous target.
        bars : mapping of str to ndarray, optional
            The latest bars by column, that bar last: at least `history`, if that many exist.

        Raises
        ------
        NonFiniteError
            If a feature, or a value computed from it, is not finite.
        ConfigError
            If a shape or the index is wrong, or the bars are missing.
        """
        return int(self.choose(*self._one_bar(features, held, bars))[0, held])

    def confidence_of(
        self, features: ArrayLike, held: int, bars: Columns | None = None
    ) -> Confidence | None:
        """Return how sure the policy is of its decision at the close of the latest bar.

        Parameters
        ----------
        features, held, bars
            As in `decide`.

        Returns
        -------
        Confidence or None
            Two single numbers; None if the policy does not say.

        Raises
        ------
        NonFiniteError, ConfigError
            As in `decide`.
        """
        sure = self.confidence(*self._one_bar(features, held, bars))
        return None if sure is None else Confidence(*(values[0, held] for values in sure))

    def _chunks(self, asset: AssetBars) -> Iterator[tuple[F64, Columns]]:
        """Yield the features of every bar but the last, some at a time, and the bars for them."""
        n, past = len(asset.times) - 1, len(asset.columns["close"]) - len(asset.times)
        features = self._checked(asset.features[:-1], asset.symbol)
        for start in range(0, n, _CHUNK):
            stop, first = min(start + _CHUNK, n), max(0, past + start + 1 - max(self.history, 1))
            bars = {name: x[first : past + stop] for name, x in asset.columns.items()}
            yield features[start:stop], bars

    def _one_bar(self, features: ArrayLike, held: int, bars: Columns | None) -> tuple[F64, Columns]:
        """Return the features of one bar as a table of one row, and the bars that it needs."""
        row = np.asarray(features, dtype=np.float64)
        if row.ndim != 1:
            self._refuse_shape(row)
        integer = isinstance(held, (int, np.integer)) and not isinstance(held, bool)
        if not integer or not 0 <= held < len(self.positions):
            raise ConfigError(
                f"a position index must be an integer from 0 to {len(self.positions) - 1}. "
                f"Got {held!r} instead."
            )
        if bars is None and self.history:
            raise ConfigError(f"{type(self).__name__} needs the last {self.history} bars.")
        if self.history:
            bars = {name: values[-self.history :] for name, values in (bars or {}).items()}
        return self._checked(row[None]), bars or {}

    def _checked(self, features: Array, symbol: str = "") -> F64:
        raw = np.asarray(features, dtype=np.float64)
        names = self.inputs.names
        if raw.ndim != 2 or raw.shape[1] != len(names):
            self._refuse_shape(raw)
        finite = np.isfinite(raw)
        if not finite.all():
            t, f = (int(i) for i in np.argwhere(~finite)[0])
            who = f"{symbol}: " if symbol else ""
            raise NonFiniteError(
                f"{who}the feature {names[f]!r} of row {t} is {raw[t, f]}, so no order is placed"
            )
        return raw

    def _require_fit(self, scaler: FittedScaler) -> None:
        """Require that a scaler was fitted on as many features as the policy reads."""
        n_features = len(self.inputs.names)
        if len(scaler.center) != n_features:
            raise ConfigError(
                f"a policy with {n_features} features needs a scaler for {n_features} features. "
                f"Got {len(scaler.center)} instead."
            )

    def _refuse_shape(self, raw: Array) -> None:
        raise ConfigError(
            f"the policy needs {len(self.inputs.names)} features per bar. Got shape {raw.shape}."
        )

    # -- files --------------------------------------------------------------------------------

    def to_parts(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the tensors and the JSON-serializable header for `from_parts`."""
        tensors: dict[str, Array] = {}
        header: dict[str, Any] = {}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                tensors[f.name] = value
            elif isinstance(value, FittedScaler):
                header[f.name] = value.to_dict()
            else:
                header[f.name] = value.to_json() if isinstance(value, Inputs) else value
        return tensors, header

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> Policy:
        """Rebuild a policy from the result of `to_parts`."""
        values: dict[str, Any] = dict(tensors)
        for f in dataclasses.fields(cls):
            if f.name in tensors or not f.init:
                continue
            value = header[f.name]
            if f.name == "inputs":
                value = Inputs.from_json(value)
            elif FittedScaler.is_dict(value):
                value = FittedScaler.from_dict(value)
            values[f.name] = tuple(value) if isinstance(value, list) else value
        return cls(**values)

    def content(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return what `save` writes: the parts, and the kind of the policy in the header."""
        tensors, header = self.to_parts()
        kind = f"{type(self).__module__}:{type(self).__qualname__}"
        return tensors, {**header, "format": FORMAT, "kind": kind}

    def save(self, path: Path) -> str:
        """Write the policy to one sealed file, atomically; return the SHA-256 of its content."""
        return write_tensors(path, *self.content())


def load_policy(path: Path) -> Policy:
    """Read a policy written by `Policy.save`.

    No user module is imported: to load a policy of your own class, import its module first, if you
    trust it.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or of another kind or version.
    """
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: not a policy of this version (format {header.get('format')!r}, needed "
            f"{FORMAT!r})"
        )
    kind = str(header.get("kind"))
    module = kind.partition(":")[0]
    package = __name__.partition(".")[0]
    if module not in sys.modules and not module.startswith(f"{package}.policies."):
        raise CheckpointError(
            f"{path}: the policy is a {shorten(kind)!r}, which is not part of this package: import "
            f"{shorten(module)} first, if you trust it"
        )
    try:
        found = load_object(kind)
        if not (isinstance(found, type) and issubclass(found, Policy)):
            raise ConfigError(f"{kind!r} is not a policy")
        return found.from_parts(tensors, header)
    except KeyError as error:
        raise CheckpointError(f"{path}: the policy lacks {error}") from error
    except (ConfigError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error
