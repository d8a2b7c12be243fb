"""The record of a finished trial, ``trial.json`` in its folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.files import write_json
from reinforcestrategycreator_pipeline.runs.studies import TRIALS

TRIAL = "trial.json"


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that has ended.

    Attributes
    ----------
    number : int
        Number of the trial, from 0.
    state : str
        ``"complete"``; ``"pruned"`` after some of the inner windows; or ``"failed"``.
    parameters : mapping of str to value
        What was varied: dotted key to value.
    config : str
        SHA-256 of the trial's whole configuration.
    objectives : tuple of float or None
        Metric of the out-of-sample part up to each inner window; None where it is undefined.
    figures : mapping of str to float or None
        Main metrics of the whole part.
    sha256 : str
        SHA-256 of the content of ``returns.parquet``; empty if the trial failed.
    error : str
        Why it failed; else empty.
    seconds : float
        Wall time of its fits and backtests.
    """

    number: int
    state: str
    parameters: Mapping[str, Any]
    config: str
    objectives: tuple[float | None, ...]
    figures: Mapping[str, float | None]
    sha256: str
    error: str
    seconds: float

    @property
    def objective(self) -> float | None:
        """Metric of the part up to the last inner window; None if undefined, or it failed."""
        return None if self.error or not self.objectives else self.objectives[-1]

    @property
    def ranks(self) -> bool:
        """Whether the trial can be the best: it is complete, and its objective is defined."""
        return self.state == "complete" and self.objective is not None

    def write(self, study_dir: Path) -> None:
        """Write the record into the study."""
        write_json(trial_dir(study_dir, self.number) / TRIAL, asdict(self))

    @classmethod
    def read(cls, study_dir: Path, number: int) -> FinishedTrial | None:
        """Return the record of a trial; None if it is not finished.

        Raises
        ------
        RunError
            If the record is damaged.
        """
        path = trial_dir(study_dir, number) / TRIAL
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**found, "objectives": tuple(found["objectives"])})
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: is damaged. Remove it to repeat the trial.") from error


def trial_dir(study_dir: Path, number: int) -> Path:
    """Return the folder of a trial."""
    return study_dir / TRIALS / str(number)


def finished_trials(study_dir: Path, most: int) -> Iterator[FinishedTrial]:
    """Yield the finished trials of a study, whose numbers are below `most`, in order."""
    for number in range(most):
        if (trial := FinishedTrial.read(study_dir, number)) is not None:
            yield trial


def better(a: FinishedTrial, b: FinishedTrial | None, maximizes: bool) -> FinishedTrial | None:
    """Return the better of two trials, the earlier one if they are equal; None if none ranks."""
    if not a.ranks:
        return b
    if b is None:
        return a
    one, other = a.objective, b.objective
    assert one is not None
    assert other is not None
    if one == other:
        return min(a, b, key=lambda trial: trial.number)
    return a if (one > other) == maximizes else b
