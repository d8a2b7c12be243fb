"""The runner: runs the stages in order, skips unchanged ones, and keeps the manifest current."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline import __version__, files, kernels
from reinforcestrategycreator_pipeline.errors import (
    CheckpointError,
    ConfigError,
    Interrupted,
    RscError,
    RunError,
    blame,
    nearest,
    shorten,
)
from reinforcestrategycreator_pipeline.interrupts import raised_interrupts
from reinforcestrategycreator_pipeline.kernels import one_thread
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.config.user_code import module_folders
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_to_yaml
from reinforcestrategycreator_pipeline.pipeline.stage import Stage, StageContext, check_wiring
from reinforcestrategycreator_pipeline.pipeline.stage_work import RunInHand, StageWork
from reinforcestrategycreator_pipeline.runs import folder as run_folder
from reinforcestrategycreator_pipeline.runs.artifacts import CONFIG, LOG, STAGED
from reinforcestrategycreator_pipeline.runs.log import RunLog, open_log
from reinforcestrategycreator_pipeline.runs.machine import describe
from reinforcestrategycreator_pipeline.runs.manifest import (
    Manifest,
    StageRecord,
    jsonable,
    load_manifest,
    now,
)
from reinforcestrategycreator_pipeline.trust import remember

__all__ = ["RunOutcome", "Runner", "Stage", "StageContext", "StageDefect"]


class StageDefect(RscError):
    """An unexpected exception in a stage: a defect of this package."""

    exit_code = 70


@dataclass(frozen=True)
class RunOutcome:
    """A completed run.

    Attributes
    ----------
    run_dir : Path
        Folder of the run.
    manifest : Manifest
        Manifest of the run, as on disk.
    unchanged : tuple of str
        Names of the stages that were not run again.
    """

    run_dir: Path
    manifest: Manifest
    unchanged: tuple[str, ...]


class Runner:
    """The engine of the pipeline; it knows stages and artifacts, but not their meaning.

    Parameters
    ----------
    stages : sequence of Stage
        Stages in order of execution.
    artifacts : mapping of str to str
        Path of each artifact's file or folder, relative to the run's folder, by name.
    console : rich.console.Console
        Console for progress.
    at_end : callable, optional
        Called with the run's folder after the last stage, before the run is complete.
    choose : callable, optional
        ``choose(run_dir, manifest, config)``, called before the first stage; returns the
        configuration that the stages have. What it changes in the manifest is written with that.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        artifacts: Mapping[str, str],
        console: Any,
        at_end: Callable[[Path], None] | None = None,
        choose: Callable[[Path, Manifest, Any], Any] | None = None,
    ) -> None:
        check_wiring(stages, artifacts)
        self._at_end, self._choose = at_end, choose
        self._stages = tuple(stages)
        self._artifacts = dict(artifacts)
        self._console = console

    def start(
        self,
        config: Any,
        runs_dir: Path,
        run_id: str | None = None,
        folder: Path | None = None,
        trial: str = "",
    ) -> RunOutcome:
        """Create a run and run all stages.

        Parameters
        ----------
        config : dataclass
            Resolved root configuration, with a ``seed``.
        runs_dir : Path
            Folder of the run store.
        run_id : str, optional
            Name of the run; by default, the time and a random suffix.
        folder : Path, optional
            Folder of the configuration file.
        trial : str
            Name of the trial that has this configuration, ``STUDY/NUMBER``; by default none.

        Raises
        ------
        RscError
            If a stage fails; `Interrupted` after Ctrl-C or SIGTERM; `StageDefect` for a defect.
        """
        with run_folder.new_run(runs_dir, run_id) as run_dir:
            manifest = Manifest(run_dir.name, config.seed, __version__, {}, created=now())
            manifest.folder = str(folder.resolve()) if folder else ""
            manifest.trial = trial
            manifest.stages = {stage.name: StageRecord() for stage in self._stages}
            self._configure(run_dir, manifest, config)
            run_folder.point_latest(run_dir)
            return self._work(config, run_dir, manifest)

    def resume(self, run_dir: Path, config: Any, restart: str | None = None) -> RunOutcome:
        """Continue a run, skipping stages whose key and outputs are unchanged.

        Parameters
        ----------
        run_dir : Path
            Folder of the run.
        config : dataclass
            Configuration of the run, original or changed.
        restart : str, optional
            Name of a stage to run from its beginning, without its checkpoints.

        Raises
        ------
        RscError
            If a stage fails as in `start`, if the run is damaged, or if another process uses it.
        """
        names = [stage.name for stage in self._stages]
        if restart is not None and restart not in names:
            raise ConfigError(f"there is no stage {restart!r} to restart.{nearest(restart, names)}")
        with run_folder.locked(run_dir):
            run_folder.sweep_store(run_dir.parent)
            manifest = load_manifest(run_dir)
            before, now_ = manifest.environment.get("kernel"), kernels.loaded()
            if before not in (None, now_):
                self._warn(
                    f"the run began with {kernels.named(before)}, this process has "
                    f"{kernels.named(now_)}: the last digits may differ from an uninterrupted run"
                )
            manifest.resumed.append(now())
            records = manifest.stages
            manifest.stages = {s.name: records.get(s.name, StageRecord()) for s in self._stages}
            self._configure(run_dir, manifest, config)
            return self._work(config, run_dir, manifest, restart)

    def _configure(self, run_dir: Path, manifest: Manifest, config: Any) -> None:
        """Write the configuration into the manifest, which is the truth, and ``config.yaml``.

        Until the file is replaced, the manifest knows the hash of the old one as well: a process
        that is killed in between leaves no file that looks edited.
        """
        made = manifest.package_version, manifest.seed, manifest.config
        text = config_to_yaml(config)
        manifest.package_version, manifest.seed = __version__, config.seed
        manifest.config = jsonable(to_plain(config))
        if made != (manifest.package_version, manifest.seed, manifest.config):
            for record in manifest.stages.values():
                if record.status == "complete":
                    record.status = "pending"  # until its key and outputs are verified
        written = files.sha256_bytes(text.encode("utf-8"))
        manifest.config_files = list(dict.fromkeys([written, *manifest.config_files]))
        self._remember(run_dir, manifest)
        manifest.save(run_dir)
        files.write_text(run_dir / CONFIG, text)
        manifest.config_files = [written]

    def _remember(self, run_dir: Path, manifest: Manifest) -> None:
        """Let a resumption load the user's modules from where they are now."""
        if folders := module_folders(manifest.config):
            remember(run_dir, manifest.created, folders)

    def _work(
        self, config: Any, run_dir: Path, manifest: Manifest, restart: str | None = None
    ) -> RunOutcome:
        unchanged: list[str] = []
        hashes: dict[str, str] = {}
        code: dict[str, dict[str, str]] = {}  # user code behind each artifact
        with (
            open_log(run_dir, self._warn) as log,
            one_thread(),
            raised_interrupts(),
        ):
            current: Stage | None = None
            where = "before the first stage"
            try:
                manifest.environment = describe()
                manifest.status = "running"
                manifest.save(run_dir)
                self._console.print(
                    f"run {manifest.run_id} in {run_dir}",
                    markup=False,
                    highlight=False,
                    soft_wrap=True,
                )
                log.info("run", run_id=manifest.run_id, resumed=bool(manifest.resumed))
                if self._choose is not None:
                    where = "in the search"
                    config = self._choose(run_dir, manifest, config)
                    self._configure(run_dir, manifest, config)
                run = RunInHand(config, run_dir, manifest, self._artifacts, log, self._console)
                for current in self._stages:
                    where = f"in stage {current.name}"
                    if StageWork(run, current, code, current.name == restart).run(hashes):
                        unchanged.append(current.name)
                current, where = None, "after the last stage"
                files.remove(run_dir / STAGED)
                if self._at_end is not None:
                    self._at_end(run_dir)
                manifest.status = "complete"
                manifest.save(run_dir)
                log.info("run complete")
            except BaseException as error:
                raise self._ended(error, current, where, run_dir, manifest, log) from error
        return RunOutcome(run_dir, manifest, tuple(unchanged))

    def _warn(self, text: str) -> None:
        self._console.print(f"warning: {text}", markup=False, highlight=False, soft_wrap=True)

    def _ended(
        self,
        error: BaseException,
        stage: Stage | None,
        where: str,
        run_dir: Path,
        manifest: Manifest,
        log: RunLog,
    ) -> RscError:
        """Record how the run ended, and return the exception that the user sees."""
        resume = run_folder.resume_command(run_dir)
        status = "failed"
        ended: RscError
        if isinstance(error, (KeyboardInterrupt, Interrupted)):
            status = "interrupted"
            said = f" ({error})" if str(error) else ""
            ended = Interrupted(f"interrupted {where}{said}; continue with: {resume}")
        elif (full := files.full_disk(error)) is not None:
            said = str(error) if isinstance(error, RscError) else f"{where}: {full.strerror}"
            ended = RunError(f"{said}; saved files are intact. Free some space, then: {resume}")
        elif isinstance(error, CheckpointError) and stage and manifest.stages[stage.name].scratch:
            ended = CheckpointError(
                f"{error}. Begin the stage again with: {resume} --restart {stage.name}"
            )
        elif isinstance(error, RscError):
            ended = error
        elif isinstance(error, MemoryError):
            detail = f" ({shorten(str(error))})" if str(error) else ""
            ended = RunError(f"{where}: not enough memory{detail}.")
        elif line := blame(error):
            ended = RunError(
                f"{where}: user code at {line} raised {type(error).__name__}: {shorten(str(error))}"
            )
        else:
            ended = StageDefect(
                f"internal error {where}: {type(error).__name__}: {shorten(str(error))}; "
                f"details in {run_dir / LOG}"
            )
        # A full disk blocks log and manifest, but the user still gets the message.
        with contextlib.suppress(OSError):
            # The author of user code needs the traceback of its exception.
            raised = error.__cause__ if isinstance(error, RscError) else error
            expected = isinstance(ended, Interrupted) or isinstance(raised, (RscError, OSError))
            trace = None if expected else raised
            log.error(str(ended), stage=stage.name if stage else None, raised=trace)
        manifest.status = status
        if stage is not None and manifest.stages[stage.name].status == "running":
            record = manifest.stages[stage.name]
            record.status, record.error = status, None if status == "interrupted" else str(ended)
        try:
            manifest.save(run_dir)
        except RunError as second:
            return RunError(f"{ended} ({second})")
        return ended
