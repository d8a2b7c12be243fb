"""Studies that are opened with the permissions that they had at their start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.runs.studies import STUDY, load_study
from reinforcestrategycreator_pipeline.trust import allowing, remembered


@contextmanager
def opened(study_dir: Path, trust: Sequence[str | Path] = ()) -> Iterator[RunConfig]:
    """Yield the configuration of a study, and allow the modules that it had at its start.

    Parameters
    ----------
    study_dir : Path
        Folder of the study.
    trust : sequence of path
        Folders to allow besides.

    Raises
    ------
    RscError
        If the study is damaged, or a module is not allowed.
    """
    record = load_study(study_dir)
    beside = record.folder or Path.cwd()
    with allowing((*remembered(study_dir, record.created), *trust), beside):
        config = load_config(RunConfig, None, (), given=record.config)
        if config.search is None:
            raise RunError(f"{study_dir / STUDY}: has no search. Start a new one.")
        yield config
