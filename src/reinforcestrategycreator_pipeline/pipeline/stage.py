"""The protocol of stages, and the context that the runner passes to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from reinforcestrategycreator_pipeline.runs.artifacts import RESERVED
from reinforcestrategycreator_pipeline.runs.log import RunLog


class Stage(Protocol):
    """One step of the pipeline.

    Attributes
    ----------
    name : str
        Name that is unique in the pipeline, such as ``"training"``.
    inputs, outputs : tuple of str
        Names of artifacts. Every input is an output of an earlier stage.
    """

    @property
    def name(self) -> str:
        """The name of the stage."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """The artifacts that the stage reads."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """All artifacts that the stage writes."""
        ...

    def section(self, config: Any) -> Any:
        """Return the part of `config` on which the outputs depend, ready for JSON.

        The stage runs again if this part, the seed, an input or the package's version changes. Add
        fingerprints of files outside the run. User code that the section names, or that made an
        input, is tracked by the runner.
        """
        ...

    def run(self, context: StageContext) -> None:
        """Read the inputs and write all outputs; raise on failure.

        The outputs take their places when all of them are written, so a failure changes nothing. A
        stage may also have a method ``published(context)``, which is called once they are there,
        and again if the process was killed before it returned.
        """


@dataclass
class StageContext:
    """The run as a stage sees it.

    Attributes
    ----------
    config : Any
        Resolved configuration of the run.
    seed : int
        Seed of the run.
    run_dir : Path
        Folder of the run, for messages; use `path` and `scratch` to access files.
    stage : Stage
        Stage that receives this context.
    log : RunLog
        Log of the run, ``log.jsonl``, bound to the stage.
    console : rich.console.Console
        Console for progress, on standard error.
    resume : bool
        Whether `scratch` may hold the state of an unfinished attempt with the same key. If False,
        it is empty.
    staged : Path or None
        Folder in which the outputs are written; None once they are in their places.
    summary : dict
        Key results for the manifest, ready for JSON; NumPy scalars are allowed.
    """

    config: Any
    seed: int
    run_dir: Path
    stage: Stage
    log: RunLog
    console: Any
    resume: bool
    artifacts: Mapping[str, str] = field(repr=False)
    record_scratch: Callable[[str], None] = field(repr=False)
    staged: Path | None = field(default=None, repr=False)
    summary: dict[str, Any] = field(default_factory=dict)

    def path(self, artifact: str) -> Path:
        """Return the path of an input or output of the stage.

        An output is written to a temporary place, whose parent folder is created; the runner moves
        it to its own place when the stage has succeeded.

        Raises
        ------
        ValueError
            If the stage does not declare the artifact, as its key would not cover it.
        """
        if artifact not in (*self.stage.inputs, *self.stage.outputs):
            raise ValueError(
                f"stage {self.stage.name!r} declares no artifact {artifact!r}; it has "
                f"inputs {self.stage.inputs} and outputs {self.stage.outputs}"
            )
        if artifact in self.stage.inputs or self.staged is None:
            return self.run_dir / self.artifacts[artifact]
        path = self.staged / self.artifacts[artifact]
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def say(self, text: str) -> None:
        """Print one line for the user, on standard error."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def scratch(self, name: str) -> Path:
        """Create and return the stage's folder ``<run>/<stage>/<name>``.

        Its files survive an interruption; they are not artifacts and are not hashed.

        Raises
        ------
        ValueError
            If the name is not a plain name, or if the folder would be inside an artifact.
        """
        relative = PurePosixPath(self.stage.name) / name
        if relative.parts != (self.stage.name, name) or name == "..":
            raise ValueError(f"a scratch folder needs a plain name, not {name!r}")
        for artifact, where in self.artifacts.items():
            if overlap(str(relative), where):
                raise ValueError(f"the scratch folder {relative} overlaps artifact {artifact!r}")
        folder = self.run_dir / relative
        self.record_scratch(str(relative))
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def overlap(a: str, b: str) -> bool:
    """Return whether one of two relative paths equals or contains the other."""
    parts_a, parts_b = PurePosixPath(a).parts, PurePosixPath(b).parts
    shorter = min(len(parts_a), len(parts_b))
    return parts_a[:shorter] == parts_b[:shorter]


def check_wiring(stages: Sequence[Stage], artifacts: Mapping[str, str]) -> None:
    """Check that the stages fit together; a mistake here is a defect of the pipeline.

    Raises
    ------
    ValueError
        If a name is used twice, an artifact has no path or a path outside the run, two artifacts
        overlap, or no earlier stage writes an input.
    """
    for name, where in artifacts.items():
        parts = PurePosixPath(where).parts
        if not parts or where.startswith("/") or ".." in parts or parts[0] in RESERVED:
            raise ValueError(f"artifact {name!r} has the invalid path {where!r}")
    names = list(artifacts)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            if overlap(artifacts[a], artifacts[b]):
                raise ValueError(f"artifacts {a!r} and {b!r} overlap")
    made: set[str] = set()
    seen: set[str] = set()
    for stage in stages:
        if stage.name in seen:
            raise ValueError(f"two stages are named {stage.name!r}")
        seen.add(stage.name)
        for artifact in (*stage.inputs, *stage.outputs):
            if artifact not in artifacts:
                raise ValueError(f"stage {stage.name!r}: artifact {artifact!r} has no path")
        for artifact in stage.inputs:
            if artifact not in made:
                raise ValueError(f"stage {stage.name!r}: no earlier stage writes {artifact!r}")
        for artifact in stage.outputs:
            if artifact in made:
                raise ValueError(f"stage {stage.name!r}: artifact {artifact!r} is written twice")
        made.update(stage.outputs)
