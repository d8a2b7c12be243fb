"""The work on one stage in one run: verify, run, publish, record.

A stage writes into a folder of its own. When all outputs are there, their hashes go into the
manifest, and only then do they take their places, one rename each. So whatever was complete stays
until its replacement is, and a process that is killed in between is continued from the hashes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.pipeline.config.user_code import fingerprints
from reinforcestrategycreator_pipeline.pipeline.stage import Stage, StageContext
from reinforcestrategycreator_pipeline.runs.artifacts import STAGED
from reinforcestrategycreator_pipeline.runs.log import RunLog
from reinforcestrategycreator_pipeline.runs.manifest import (
    Manifest,
    StageRecord,
    hash_artifact,
    jsonable,
    stage_key,
)
from reinforcestrategycreator_pipeline.storage.parquet_files import release_memory

UNFINISHED = ("running", "failed", "interrupted")


@dataclass(frozen=True)
class RunInHand:
    """A run that this process works on.

    Attributes
    ----------
    config : Any
        Resolved configuration of the run.
    run_dir : Path
        Folder of the run, which is locked.
    manifest : Manifest
        Manifest of the run.
    artifacts : mapping of str to str
        Relative path of each artifact, by name.
    log : RunLog
        Log of the run.
    console : rich.console.Console
        Console for progress.
    """

    config: Any
    run_dir: Path
    manifest: Manifest
    artifacts: Mapping[str, str]
    log: RunLog
    console: Any


class StageWork:
    """The work on one stage.

    Parameters
    ----------
    run : RunInHand
        Run that the stage belongs to.
    stage : Stage
        Stage to be verified or run.
    code : dict of str to dict of str to str
        Hashes of the user code behind each artifact so far, by artifact; this stage adds its own.
    restart : bool
        Run the stage from its beginning, whatever is recorded.
    """

    def __init__(
        self, run: RunInHand, stage: Stage, code: dict[str, dict[str, str]], restart: bool
    ) -> None:
        self._run, self._stage, self._code, self._restart = run, stage, code, restart
        self._log = run.log.bind(stage=stage.name)
        self._staged = run.run_dir / STAGED / stage.name
        names = list(run.manifest.stages)
        self._title = f"[{names.index(stage.name) + 1}/{len(names)}] {stage.name}"

    def run(self, hashes: dict[str, str]) -> bool:
        """Run the stage unless it is unchanged; add its outputs' hashes; return if unchanged."""
        stage, manifest = self._stage, self._run.manifest
        before = manifest.stages[stage.name]
        inputs = {name: hashes[name] for name in stage.inputs}
        key = self._key(inputs)
        if not self._restart and self._settled(before, key):
            hashes.update(manifest.stages[stage.name].outputs)
            return True
        # Outputs that were complete and are not any more: nothing of that attempt is trusted.
        resume = before.status in UNFINISHED and before.key == key and not before.outputs
        resume = resume and not self._restart
        if not resume:
            for folder in before.scratch:
                self._remove(self._run.run_dir / folder)
        scratch = before.scratch if resume else []
        record = StageRecord("running", key, inputs, scratch=scratch, previous=before.completed())
        manifest.stages[stage.name] = record
        self._save()
        self._say("continuing" if resume else "running")
        self._attempt(record, resume)
        hashes.update(record.outputs)
        return False

    def _key(self, inputs: Mapping[str, str]) -> str:
        section = self._stage.section(self._run.config)
        # An artifact may need the user code that made it: a policy, for example, its class.
        code = fingerprints(section)
        for name in self._stage.inputs:
            code |= self._code[name]
        self._code |= dict.fromkeys(self._stage.outputs, code)
        whole = {"section": section, "code": code}
        made = self._run.manifest
        return stage_key(self._stage.name, whole, made.seed, inputs, made.package_version)

    def _settled(self, before: StageRecord, key: str) -> bool:
        """Complete the stage without running it, if an attempt with this key wrote all outputs.

        That is the newest attempt, also one that was killed before all outputs had their places, or
        the one before, whose outputs a later attempt with another key has not replaced.
        """
        for record in (before, before.restored()):
            if record is None or record.key != key or not record.outputs:
                continue
            missing = [n for n in self._stage.outputs if not self._is_there(record, n)]
            if missing:
                self._say(f"{', '.join(missing)} missing or damaged; running again")
                return False
            self._run.manifest.stages[self._stage.name] = record
            if record.status in UNFINISHED:
                self._finish(record, self._context(resume=False))
            else:
                record.status = "complete"
                self._save()
            self._say("unchanged, not run again")
            return True
        return False

    def _is_there(self, record: StageRecord, artifact: str) -> bool:
        """Return whether an output, as recorded, is in its place or staged for it."""
        where = self._run.artifacts[artifact]
        places = self._run.run_dir / where, self._staged / where
        return any(hash_artifact(place) == record.outputs.get(artifact) for place in places)

    def _attempt(self, record: StageRecord, resume: bool) -> None:
        self._remove(self._staged)
        context = self._context(resume, record)
        began = time.perf_counter()
        try:
            self._stage.run(context)
        finally:
            record.seconds = round(time.perf_counter() - began, 3)
        release_memory()
        record.summary = jsonable(context.summary)
        outputs = {}
        for name in self._stage.outputs:
            digest = hash_artifact(self._staged / self._run.artifacts[name])
            if digest is None:
                raise RuntimeError(f"the stage did not write its output {name!r}")
            outputs[name] = digest
        record.outputs = outputs
        self._forget_later()
        self._save()
        self._finish(record, context)
        release_memory()
        self._say(f"done in {record.seconds:.1f} s")

    def _finish(self, record: StageRecord, context: StageContext) -> None:
        """Put the outputs in their places, and complete the stage."""
        for name, digest in record.outputs.items():
            place = self._run.run_dir / self._run.artifacts[name]
            staged = self._staged / self._run.artifacts[name]
            if hash_artifact(place) != digest:
                try:
                    place.parent.mkdir(parents=True, exist_ok=True)
                    files.put(staged, place)
                except OSError as error:
                    raise RunError(f"{place}: cannot write: {error.strerror or error}") from error
        context.staged = None
        if (published := getattr(self._stage, "published", None)) is not None:
            published(context)
        self._remove(self._staged.parent)
        record.status, record.error, record.previous = "complete", None, {}
        self._save()

    def _forget_later(self) -> None:
        """Later stages have to be verified again: their figures came from other inputs."""
        names = list(self._run.manifest.stages)
        for name in names[names.index(self._stage.name) + 1 :]:
            if (record := self._run.manifest.stages[name]).status == "complete":
                record.status = "pending"

    def _context(self, resume: bool, record: StageRecord | None = None) -> StageContext:
        def record_scratch(path: str) -> None:
            if record is not None and path not in record.scratch:
                record.scratch.append(path)
                self._save()

        return StageContext(
            config=self._run.config,
            seed=self._run.manifest.seed,
            run_dir=self._run.run_dir,
            stage=self._stage,
            log=self._log,
            console=self._run.console,
            resume=resume,
            artifacts=self._run.artifacts,
            record_scratch=record_scratch,
            staged=self._staged,
        )

    def _remove(self, path: Path) -> None:
        try:
            files.remove(path)
        except OSError as error:
            raise RunError(f"{path}: cannot be removed: {error.strerror or error}") from error

    def _save(self) -> None:
        self._run.manifest.save(self._run.run_dir)

    def _say(self, text: str) -> None:
        self._log.info(text)
        line = f"{self._title}: {text}"
        self._run.console.print(line, markup=False, highlight=False, soft_wrap=True)
