"""The protocol of trackers, their registry, and the call of one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from reinforcestrategycreator_pipeline.errors import RscError, RunError, blamed
from reinforcestrategycreator_pipeline.registry import Registry

_LOG = logging.getLogger(__name__)


class Tracker(Protocol):
    """A frozen dataclass that logs a finished run to another system; its fields say where.

    It reads the run's folder alone, so a run can also be logged long after its end.
    """

    def log(self, run_dir: Path) -> str:
        """Log a run, and return one line that says where it went.

        The folder stays as it is. A run that was logged before is there once, as it is now.

        Parameters
        ----------
        run_dir : Path
            Folder of a run whose stages are complete.

        Raises
        ------
        RscError
            If the run cannot be read, or the other system does not take it.
        """
        ...


TRACKERS: Registry[type[Tracker]] = Registry("tracker", ("log",))


def track(tracker: Tracker, run_dir: Path) -> str:
    """Log a run with a tracker, and return its line.

    Raises
    ------
    RscError
        If it fails, in one line, whatever the tracker raised.
    """
    with blamed(f"the tracker {TRACKERS.name_of(tracker)!r}", RunError):
        return " ".join(str(tracker.log(run_dir)).split())


def track_all(trackers: Iterable[Tracker], run_dir: Path, say: Callable[[str], None]) -> None:
    """Log a run with all trackers; one that fails is warned of, and the others go on.

    Parameters
    ----------
    trackers : iterable of Tracker
        Trackers to call, one after the other.
    run_dir : Path
        Folder of a run whose stages are complete.
    say : callable
        Receives the line of each tracker.
    """
    for tracker in trackers:
        try:
            say(track(tracker, run_dir))
        except RscError as error:
            _LOG.warning("the run is not tracked: %s", " ".join(str(error).split()))
