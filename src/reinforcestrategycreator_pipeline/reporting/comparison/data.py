"""The data of a comparison: each run's result, and what the runs have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD, PORTFOLIO
from reinforcestrategycreator_pipeline.backtesting.store import read_equity
from reinforcestrategycreator_pipeline.runs.artifacts import LOOKS, REPORT_HTML
from reinforcestrategycreator_pipeline.runs.manifest import Manifest, load_manifest
from reinforcestrategycreator_pipeline.verdict.answer import Answer
from reinforcestrategycreator_pipeline.verdict.judgement import Judgement
from reinforcestrategycreator_pipeline.verdict.looks import Look, Looked, count_looks, read

FEWEST = 30
"""Bars of which a Sharpe ratio has an interval, and that are a common span."""
SEED = "seed"
MOST_KEYS = 2
"""Keys of the configuration in the name of a group of runs."""


def _empty() -> pd.Series[float]:
    return pd.Series(dtype=np.float64)


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """A run with its result, if it has one.

    Attributes
    ----------
    name : str
        Name of the run, or its path if another one has the same name.
    folder : Path
        Folder of the run.
    manifest : Manifest
        Manifest of the run.
    judgement : Judgement or None
        Metrics, answer and decision; None if it has not been evaluated.
    equity : Series
        Equity of the judged strategy's portfolio at each close, in money; empty without a result.
    hold : Series
        The same of buy and hold; empty if it was no benchmark.
    look : Look or None
        Entry of its newest evaluation in the ledger.
    looked : Looked or None
        How often its test bars have been evaluated up to now.
    """

    name: str
    folder: Path
    manifest: Manifest
    judgement: Judgement | None = None
    equity: pd.Series[float] = field(default_factory=_empty)
    hold: pd.Series[float] = field(default_factory=_empty)
    look: Look | None = None
    looked: Looked | None = None

    @property
    def report(self) -> Path | None:
        """The HTML report; None if there is none."""
        path = self.folder / REPORT_HTML
        return path if path.is_file() else None

    @property
    def answer(self) -> Answer | None:
        """Whether the run found an edge; None if it was not tested."""
        return self.judgement.answer if self.judgement else None

    @property
    def strategy(self) -> str:
        """Label of the judged strategy; empty without a result."""
        return self.judgement.strategy if self.judgement else ""

    @property
    def costs(self) -> Mapping[str, Any]:
        """Settings of the costs, by name."""
        return dict(self.manifest.config.get("trading", {}).get("costs", {}))

    @property
    def index(self) -> pd.DatetimeIndex:
        """Closes of the test bars, the one before the first bar included."""
        return pd.DatetimeIndex(self.equity.index)

    def value(self, key: str) -> float | None:
        """Return a metric of the judged strategy's portfolio; None if it is not defined."""
        if self.judgement is None:
            return None
        return self.judgement.value(PORTFOLIO, self.strategy, key).value


@dataclass(frozen=True, eq=False)
class Group:
    """Runs whose configurations differ in nothing but the seed.

    Attributes
    ----------
    label : str
        What tells it from the other groups.
    runs : tuple of int
        Places of its runs among all.
    """

    label: str
    runs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ComparisonData:
    """The content of a comparison.

    Attributes
    ----------
    runs : tuple of ComparedRun
        The runs, in the order in which they were named.
    differences : mapping of str to tuple of str
        Each key of the configuration in which they differ, with the value of each run as text,
        empty where it lacks the key.
    """

    runs: tuple[ComparedRun, ...]
    differences: Mapping[str, tuple[str, ...]]

    @cached_property
    def judged(self) -> tuple[ComparedRun, ...]:
        """The runs that have a result."""
        return tuple(run for run in self.runs if run.judgement is not None)

    @cached_property
    def common(self) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        """First and last close of the span that all results have; None if there is none."""
        if not self.judged:
            return None
        start = max(run.index[0] for run in self.judged)
        end = min(run.index[-1] for run in self.judged)
        inside = [int(((run.index >= start) & (run.index <= end)).sum()) for run in self.judged]
        return (start, end) if min(inside) > FEWEST else None

    @cached_property
    def whole(self) -> bool:
        """Whether the common span is the whole test span of each run."""
        return len({(run.index[0], run.index[-1]) for run in self.judged}) == 1

    def shown(self, curve: pd.Series[float]) -> pd.Series[float]:
        """Return a curve on the common span, if there is one, else as a whole."""
        return curve if self.common is None else curve.loc[self.common[0] : self.common[1]]

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The runs by configuration but for the seed, in order of their first run."""
        found: dict[tuple[str, ...], list[int]] = {}
        for place in range(len(self.runs)):
            key = tuple(texts[place] for k, texts in self.differences.items() if k != SEED)
            found.setdefault(key, []).append(place)
        members = list(found.values())
        labels = self._labels([own[0] for own in members])
        pairs = zip(labels, members, strict=True)
        return tuple(Group(label, tuple(own)) for label, own in pairs)

    def _labels(self, firsts: Sequence[int]) -> list[str]:
        """Return what tells groups apart: the strategy, with few keys, or else the first run."""
        return [self._label(place, firsts) for place in firsts]

    def _label(self, place: int, firsts: Sequence[int]) -> str:
        strategy, name = self.runs[place].strategy, self.runs[place].name
        peers = [other for other in firsts if self.runs[other].strategy == strategy]
        if strategy and len(peers) == 1:
            return strategy
        keys = [
            key
            for key, texts in self.differences.items()
            if key != SEED and len({texts[other] for other in peers}) > 1
        ]
        if not strategy or len(keys) > MOST_KEYS:
            return f"like {name}"
        return ", ".join([strategy, *(f"{k} {self.differences[k][place] or '—'}" for k in keys)])


def returns_of(curve: pd.Series[float]) -> F64 | None:
    """Return the returns of a curve for a statistic; None if they are few, or it was ruined."""
    values = curve.to_numpy(np.float64)
    if len(values) <= FEWEST or not (values > 0.0).all():
        return None
    found: F64 = values[1:] / values[:-1] - 1.0
    return found


def read_comparison(
    folders: Sequence[Path], differences: Mapping[str, tuple[str, ...]]
) -> ComparisonData:
    """Read runs for a comparison.

    Parameters
    ----------
    folders : sequence of Path
        Folders of the runs, each once.
    differences : mapping of str to tuple of str
        Keys in which their configurations differ, see `ComparisonData`.

    Raises
    ------
    RscError
        If a run cannot be read.
    """
    names = names_of(folders)
    runs = (_read(name, folder) for name, folder in zip(names, folders, strict=True))
    return ComparisonData(tuple(runs), differences)


def names_of(folders: Sequence[Path]) -> list[str]:
    """Return the names of runs: the runs' own, or their paths if two have the same."""
    names = [folder.name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _read(name: str, folder: Path) -> ComparedRun:
    manifest = load_manifest(folder)
    evaluation = manifest.stages.get("evaluation")
    if evaluation is None or evaluation.status != "complete":
        return ComparedRun(name, folder, manifest)
    judgement = Judgement.read(manifest.verified(folder, "metrics"))
    curves = read_equity(manifest.verified(folder, "results"), PORTFOLIO)
    looks = read(folder / LOOKS)[0]
    return ComparedRun(
        name,
        folder,
        manifest,
        judgement,
        curves[judgement.strategy].dropna(),
        curves[BUY_AND_HOLD].dropna() if BUY_AND_HOLD in curves else _empty(),
        looks[-1] if looks else None,
        count_looks(folder),
    )
