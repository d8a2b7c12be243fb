"""The tracker `tensorboard`: event files that TensorBoard shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from reinforcestrategycreator_pipeline.checks import Len, Strict
from reinforcestrategycreator_pipeline.errors import RunError, needs
from reinforcestrategycreator_pipeline.tracking.base import TRACKERS
from reinforcestrategycreator_pipeline.tracking.finished import FinishedRun

_SUFFIX = ".rsc"  # of the files that are ours


@TRACKERS.register("tensorboard")
@dataclass(frozen=True)
class TensorBoard(Strict):
    """Write TensorBoard's event files; it needs the extra `tensorboard`.

    Attributes
    ----------
    folder : str
        Folder for ``tensorboard --logdir``; each run has a folder of its own in it, named after the
        run.
    """

    folder: Annotated[str, Len(1)] = "tensorboard"

    def log(self, run_dir: Path) -> str:
        """Write the run's curves; see `Tracker.log`."""
        with needs("tensorboard", "the tracker 'tensorboard'"):
            from tensorboardX import SummaryWriter
        run = FinishedRun.read(run_dir)
        home = Path(self.folder) / run.manifest.run_id
        try:
            with _writer(SummaryWriter, home) as writer:
                # Not the time of writing: the same run gives the same events.
                at = run.started_ms / 1000
                for point in run.history():
                    writer.add_scalar(f"training/{point.name}", point.value, point.step, at)
                for point in run.windows():
                    writer.add_scalar(f"windows/{point.name}", point.value, point.step, at)
            for name, result in run.portfolios.items():
                with _writer(SummaryWriter, home / name) as writer:
                    times = result.timestamps.as_unit("ns").asi8 / 1e9
                    for bar, (time, equity) in enumerate(zip(times, result.equity, strict=True)):
                        writer.add_scalar("equity", float(equity), bar, float(time))
        except OSError as error:
            where = error.filename or home
            raise RunError(f"{where}: cannot write events: {error.strerror or error}.") from error
        return f"TensorBoard: {home}; show it with: tensorboard --logdir {self.folder}"


@contextmanager
def _writer(kind: Any, folder: Path) -> Iterator[Any]:
    """Yield a writer into a folder without events of an earlier call."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(f"events.out.tfevents.*{_SUFFIX}"):
        path.unlink()
    with kind(logdir=str(folder), filename_suffix=_SUFFIX) as writer:
        yield writer
