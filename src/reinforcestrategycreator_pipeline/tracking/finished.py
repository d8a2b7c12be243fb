"""A finished run as trackers log it, read from its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.backtesting.results import (
    BUY_AND_HOLD,
    PORTFOLIO,
    StrategyResult,
)
from reinforcestrategycreator_pipeline.backtesting.store import read_results
from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.market.windows import Windows
from reinforcestrategycreator_pipeline.runs.manifest import Manifest, jsonable, load_manifest
from reinforcestrategycreator_pipeline.runs.summary import read_metrics

TRACKING = "tracking"
"""Key of the configuration that says where a run is logged; it says nothing about the run."""


@dataclass(frozen=True)
class Point:
    """One value of a curve.

    Attributes
    ----------
    name : str
        Name of the curve.
    step : int
        Step of the training, or number of the window, from 1.
    value : float
        Value of the curve, finite.
    """

    name: str
    step: int
    value: float


@dataclass(frozen=True)
class FinishedRun:
    """The content of a finished run that trackers log.

    Attributes
    ----------
    folder : Path
        Folder of the run.
    manifest : Manifest
        Manifest of the run.
    stored : mapping
        Content of the file ``metrics.json``.
    """

    folder: Path
    manifest: Manifest
    stored: Mapping[str, Any]

    @classmethod
    def read(cls, run_dir: Path) -> FinishedRun:
        """Read a run whose stages are complete.

        Raises
        ------
        RunError
            If it is not complete, or if a file is missing, edited or of another version.
        """
        manifest = load_manifest(run_dir)
        for name, record in manifest.stages.items():
            if record.status != "complete":
                raise RunError(f"{run_dir}: only a finished run is tracked; {name} is not done.")
        return cls(run_dir, manifest, read_metrics(run_dir, manifest))

    @property
    def started_ms(self) -> int:
        """Time at which the run was created, in milliseconds since 1970 UTC."""
        return int(datetime.fromisoformat(self.manifest.created).timestamp() * 1000)

    @property
    def strategy(self) -> str:
        """Label of the judged strategy."""
        return str(self.stored["strategy"])

    @property
    def trial(self) -> str:
        """Name of the trial whose configuration the run has, ``STUDY/NUMBER``; empty if none."""
        return self.manifest.trial

    @property
    def promoted(self) -> bool:
        """Whether the strategy was promoted."""
        return bool(self.stored["decision"]["promoted"])

    @property
    def config(self) -> dict[str, Any]:
        """The configuration, without the key `TRACKING`."""
        return {key: value for key, value in self.manifest.config.items() if key != TRACKING}

    @property
    def figures(self) -> dict[str, float]:
        """The defined metrics of the strategy's portfolio."""
        own = self.stored["metrics"][PORTFOLIO][self.strategy]
        return {key: v["value"] for key, v in own.items() if v["value"] is not None}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that is logged as numbers and words; a run that is resumed may change."""
        outputs = {name: record.outputs for name, record in self.manifest.stages.items()}
        found = jsonable([self.config, self.manifest.package_version, outputs])
        return files.sha256_bytes(json.dumps(found, sort_keys=True).encode("utf-8"))

    @cached_property
    def portfolios(self) -> dict[str, StrategyResult]:
        """The portfolio's results, ``"strategy"`` and, if it was judged, ``"buy_and_hold"``."""
        verified = self.manifest.verified
        found = read_results(verified(self.folder, "results"), verified(self.folder, "all_trades"))
        names = {"strategy": self.strategy, "buy_and_hold": BUY_AND_HOLD}
        own = found[PORTFOLIO]
        return {key: own[name] for key, name in names.items() if name in own}

    def history(self) -> Iterator[Point]:
        """Yield the numbers of the training's history, row by row."""
        rows = pd.read_csv(self.manifest.verified(self.folder, "history"))
        numbers = rows.select_dtypes("number").drop(columns="step", errors="ignore")
        for step, row in zip(rows.get("step", ()), numbers.to_dict("records"), strict=False):
            for name, value in row.items():
                if math.isfinite(value):
                    yield Point(str(name), int(step), float(value))

    def windows(self) -> Iterator[Point]:
        """Yield the growth of each portfolio in each test window, if there are several windows."""
        path = self.manifest.verified(self.folder, "windows")
        spans = Windows.from_json(json.loads(path.read_text(encoding="utf-8"))).tests
        if len(spans) < 2:
            return
        for number, span in enumerate(spans, 1):
            for name, result in self.portfolios.items():
                times = result.timestamps
                # The equity with which a window begins is that at the close before it.
                first = max(int(times.searchsorted(span.start)) - 1, 0)
                last = int(times.searchsorted(span.end, side="right")) - 1
                growth = float(result.equity[last] / result.equity[first]) - 1.0
                yield Point(f"{name}_return", number, growth)


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted keys of plain values, and the values as text.

    A list of values is one text; one of mappings has a key for each: ``features.columns.0.name``.
    """
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        items = enumerate(value)
    for key, item in items:
        yield from flat(item, f"{path}.{key}" if path else str(key))
    if not items:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield path, text
