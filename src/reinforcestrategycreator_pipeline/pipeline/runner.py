"""The runner: runs the stages in order, skips unchanged ones, and keeps the manifest current."""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline import __version__, files, kernels
from reinforcestrategycreator_pipeline.errors import Interrupted, RscError, RunError, blame, shorten
from reinforcestrategycreator_pipeline.interrupts import sigterm_interrupts
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.config.user_code import (
    fingerprints,
    module_folders,
)
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_to_yaml
from reinforcestrategycreator_pipeline.pipeline.stage import Stage, StageContext, check_wiring
from reinforcestrategycreator_pipeline.runs import folder as run_folder
from reinforcestrategycreator_pipeline.runs.artifacts import CONFIG, LOG
from reinforcestrategycreator_pipeline.runs.log import RunLog, open_log
from reinforcestrategycreator_pipeline.runs.machine import describe
from reinforcestrategycreator_pipeline.runs.manifest import (
    Manifest,
    StageRecord,
    hash_artifact,
    jsonable,
    load_manifest,
    now,
    stage_key,
)
from reinforcestrategycreator_pipeline.trust import remember

__all__ = ["RunOutcome", "Runner", "Stage", "StageContext", "StageDefect"]

UNFINISHED = ("running", "failed", "interrupted")


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
    """

    def __init__(self, stages: Sequence[Stage], artifacts: Mapping[str, str], console: Any) -> None:
        check_wiring(stages, artifacts)
        self._stages = tuple(stages)
        self._artifacts = dict(artifacts)
        self._console = console

    def start(
        self, config: Any, runs_dir: Path, run_id: str | None = None, folder: Path | None = None
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

        Raises
        ------
        RscError
            If a stage fails; `Interrupted` after Ctrl-C or SIGTERM; `StageDefect` for a defect.
        """
        run_dir = run_folder.create_run(runs_dir, run_id)
        manifest = Manifest(run_dir.name, config.seed, __version__, to_plain(config))
        manifest.folder = str(folder.resolve()) if folder else ""
        manifest.stages = {stage.name: StageRecord() for stage in self._stages}
        with run_folder.locked(run_dir):
            files.write_text(run_dir / CONFIG, config_to_yaml(config))
            manifest.save(run_dir)
            self._remember(run_dir, manifest)
            run_folder.point_latest(run_dir)
            return self._work(config, run_dir, manifest)

    def resume(self, run_dir: Path, config: Any) -> RunOutcome:
        """Continue a run, skipping stages whose key and outputs are unchanged.

        Parameters
        ----------
        run_dir : Path
            Folder of the run.
        config : dataclass
            Configuration of the run, original or changed.

        Raises
        ------
        RscError
            If a stage fails as in `start`, if the run is damaged, or if another process uses it.
        """
        with run_folder.locked(run_dir):
            manifest = load_manifest(run_dir)
            before, now_ = manifest.environment.get("kernel"), kernels.loaded()
            if before not in (None, now_):
                self._warn(
                    f"the run began with {kernels.named(before)}, this process has "
                    f"{kernels.named(now_)}: the last digits may differ from an uninterrupted run"
                )
            manifest.seed, manifest.config = config.seed, to_plain(config)
            manifest.package_version = __version__
            manifest.resumed.append(now())
            records = manifest.stages
            manifest.stages = {s.name: records.get(s.name, StageRecord()) for s in self._stages}
            for record in manifest.stages.values():
                if record.status == "complete":
                    record.status = "pending"  # until its key and outputs are verified
            files.write_text(run_dir / CONFIG, config_to_yaml(config))
            manifest.save(run_dir)
            self._remember(run_dir, manifest)
            return self._work(config, run_dir, manifest)

    def _remember(self, run_dir: Path, manifest: Manifest) -> None:
        """Let a resumption load the user's modules from where they are now."""
        if folders := module_folders(manifest.config):
            remember(run_dir, manifest.created, folders)

    def _work(self, config: Any, run_dir: Path, manifest: Manifest) -> RunOutcome:
        import numpy  # noqa: F401  # its BLAS must be loaded before it can be limited
        import threadpoolctl  # type: ignore[import-untyped]

        unchanged: list[str] = []
        hashes: dict[str, str] = {}
        code: dict[str, dict[str, str]] = {}  # user code behind each artifact
        with (
            open_log(run_dir, self._warn) as log,
            threadpoolctl.threadpool_limits(limits=1),
            sigterm_interrupts(),
        ):
            current: Stage | None = None
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
                for current in self._stages:
                    work = _StageWork(self, current, config, run_dir, manifest, log, code)
                    if work.run(hashes):
                        unchanged.append(current.name)
                manifest.status = "complete"
                manifest.save(run_dir)
                log.info("run complete")
            except BaseException as error:
                raise self._ended(error, current, run_dir, manifest, log) from error
        return RunOutcome(run_dir, manifest, tuple(unchanged))

    def _warn(self, text: str) -> None:
        self._console.print(f"warning: {text}", markup=False, highlight=False, soft_wrap=True)

    def _ended(
        self,
        error: BaseException,
        stage: Stage | None,
        run_dir: Path,
        manifest: Manifest,
        log: RunLog,
    ) -> RscError:
        """Record how the run ended, and return the exception that the user sees."""
        where = f"in stage {stage.name}" if stage else "before the first stage"
        resume = f"rsc run --resume {run_dir.name}"
        if run_dir.parent != run_folder.RUNS:
            resume += f" --runs-dir {run_dir.parent}"
        status = "failed"
        ended: RscError
        if isinstance(error, (KeyboardInterrupt, Interrupted)):
            status = "interrupted"
            said = f" ({error})" if str(error) else ""
            ended = Interrupted(f"interrupted {where}{said}; continue with: {resume}")
        elif (full := _full_disk(error)) is not None:
            said = str(error) if isinstance(error, RscError) else f"{where}: {full.strerror}"
            ended = RunError(f"{said}; saved files are intact. Free some space, then: {resume}")
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


def _full_disk(error: BaseException) -> OSError | None:
    """Return the system's error for a full disk or quota, if it caused `error`."""
    for found in (error, error.__cause__):
        if isinstance(found, OSError) and found.errno in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EFBIG,
        ):
            return found
    return None


class _StageWork:
    """The work on one stage in one run: verify, run, record."""

    def __init__(
        self,
        runner: Runner,
        stage: Stage,
        config: Any,
        run_dir: Path,
        manifest: Manifest,
        log: RunLog,
        code: dict[str, dict[str, str]],
    ) -> None:
        self._stage = stage
        self._code = code
        self._config = config
        self._run_dir = run_dir
        self._manifest = manifest
        self._log = log.bind(stage=stage.name)
        self._artifacts = runner._artifacts
        self._console = runner._console
        names = list(manifest.stages)
        self._title = f"[{names.index(stage.name) + 1}/{len(names)}] {stage.name}"

    def run(self, hashes: dict[str, str]) -> bool:
        """Run the stage unless it is unchanged; add its outputs' hashes; return if unchanged."""
        stage, manifest = self._stage, self._manifest
        before = manifest.stages[stage.name]
        inputs = {name: hashes[name] for name in stage.inputs}
        section = stage.section(self._config)
        # An artifact may need the user code that made it: a policy, for example, its class.
        code = fingerprints(section)
        for name in stage.inputs:
            code |= self._code[name]
        self._code |= dict.fromkeys(stage.outputs, code)
        whole = {"section": section, "code": code}
        key = stage_key(stage.name, whole, manifest.seed, inputs, __version__)
        if before.status == "pending" and before.key == key and before.outputs:
            damaged = [
                name for name in stage.outputs if self._hash(name) != before.outputs.get(name)
            ]
            if not damaged:
                before.status = "complete"
                manifest.save(self._run_dir)
                hashes.update(before.outputs)
                self._say("unchanged, not run again")
                return True
            self._say(f"{', '.join(damaged)} missing or damaged; running again")
        resume = before.status in UNFINISHED and before.key == key
        if not resume:
            self._clear(before)
        record = StageRecord("running", key, inputs, scratch=before.scratch if resume else [])
        manifest.stages[stage.name] = record
        manifest.save(self._run_dir)
        self._say("continuing" if resume else "running")
        self._attempt(record, resume)
        hashes.update(record.outputs)
        return False

    def _attempt(self, record: StageRecord, resume: bool) -> None:
        context = StageContext(
            config=self._config,
            seed=self._manifest.seed,
            run_dir=self._run_dir,
            stage=self._stage,
            log=self._log,
            console=self._console,
            resume=resume,
            artifacts=self._artifacts,
            record_scratch=lambda path: self._record_scratch(record, path),
        )
        began = time.perf_counter()
        try:
            self._stage.run(context)
        finally:
            record.seconds = round(time.perf_counter() - began, 3)
        record.summary = jsonable(context.summary)
        outputs = {name: self._hash(name) for name in self._stage.outputs}
        for name, digest in outputs.items():
            if digest is None:
                raise RuntimeError(f"the stage did not write its output {name!r}")
            record.outputs[name] = digest
        record.status = "complete"
        self._manifest.save(self._run_dir)
        self._say(f"done in {record.seconds:.1f} s")

    def _record_scratch(self, record: StageRecord, path: str) -> None:
        if path not in record.scratch:
            record.scratch.append(path)
            self._manifest.save(self._run_dir)

    def _hash(self, artifact: str) -> str | None:
        return hash_artifact(self._run_dir / self._artifacts[artifact])

    def _clear(self, record: StageRecord) -> None:
        """Remove the files of an attempt that is damaged or has another key."""
        for relative in [*(self._artifacts[name] for name in self._stage.outputs), *record.scratch]:
            path = self._run_dir / relative
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _say(self, text: str) -> None:
        self._log.info(text)
        self._console.print(f"{self._title}: {text}", markup=False, highlight=False, soft_wrap=True)
