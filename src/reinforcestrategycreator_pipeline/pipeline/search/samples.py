"""The jobs that measure a search before it begins: parts of its first trials."""

from __future__ import annotations

import importlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.experiments.jobs import Report
from reinforcestrategycreator_pipeline.pipeline.search.trials import TrialJob


@dataclass(frozen=True)
class Start:
    """Nothing but the start of a process, with the imports of a fit, and of other modules."""

    name: str
    folder: Path
    modules: tuple[str, ...] = ()

    def done(self) -> bool:
        """Return whether it was run."""
        return (self.folder / self.name).is_file()

    def run(self, report: Report) -> None:
        """Import, and note that the process runs."""
        for module in self.modules:
            importlib.import_module(module)
        files.write_text(self.folder / self.name, "")


@dataclass(frozen=True)
class Sample:
    """The first inner windows of a trial, as many as end within a time, or a part of the first."""

    name: str
    trial: TrialJob
    folds: int
    limit: float

    @property
    def _result(self) -> Path:
        return self.trial.folder / "sample.json"

    @property
    def seconds(self) -> float | None:
        """Seconds of an inner window; None if the trial fails."""
        found: float | None = self._read()["seconds"]
        return found

    @property
    def error(self) -> str:
        """Why the trial fails; else empty."""
        return str(self._read()["error"])

    def _read(self) -> dict[str, Any]:
        return dict(json.loads(self._result.read_text(encoding="utf-8")))

    def done(self) -> bool:
        """Return whether it was measured."""
        return self._result.is_file()

    def run(self, report: Report) -> None:
        """Measure."""
        watch = Watch(self.limit)
        seconds, error = None, ""
        for windows in range(1, self.folds + 1):
            trial = replace(self.trial, windows=windows)
            try:
                trial.run(watch)
            except Enough:
                seconds = seconds or watch.whole
                break
            score = trial.score(windows)
            assert score is not None
            if score.error:
                seconds, error = None, score.error
                break
            seconds = watch.elapsed / windows
            if watch.elapsed > self.limit:
                break
        files.write_json(self._result, {"seconds": seconds, "error": error})


class Enough(Exception):
    """Ends a fit whose rate is known."""


class Watch(Report):
    """Receives the progress of a fit, and ends the fit when a time is over and a rate is known.

    Parameters
    ----------
    limit : float
        Seconds after which the fit ends.
    """

    def __init__(self, limit: float) -> None:
        super().__init__(lambda event: None)
        self._begin, self._limit = time.perf_counter(), limit
        self._points: list[tuple[float, float]] = []
        self._total = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._begin

    @property
    def whole(self) -> float:
        """Seconds that the whole fit takes, if it goes on as from the first to the last report."""
        (first, before), (last, done) = self._points[0], self._points[-1]
        return last + (self._total - done) * (last - first) / (done - before)

    def progress(self, done: int, total: int, **texts: Any) -> None:
        """Note the progress.

        Raises
        ------
        Enough
            If there is enough of it.
        """
        self._total = float(total)
        if not self._points or done > self._points[-1][1]:
            self._points.append((self.elapsed, float(done)))
        if self.elapsed > self._limit and len(self._points) > 1:
            raise Enough
