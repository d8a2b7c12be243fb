"""What a stage is, and what the runner hands it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from reinforcestrategycreator_pipeline.runs.artifacts import RESERVED


class Stage(Protocol):
    """One step of the pipeline.

    Attributes
    ----------
    name : str
        Unique in the pipeline, such as ``"training"``.
    inputs, outputs : tuple of str
        Artifact names. Every input is an output of an earlier stage.
    """

    @property
    def name(self) -> str:
        """The stage's name."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the stage reads."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the stage writes, all of it."""
        ...

    def section(self, config: Any) -> Any:
        """Return, JSON-ready, the part of `config` on which the outputs depend.

        A change of it, of the seed, of an input or of the package's version runs the stage
        again. Fingerprints of files outside the run belong in here, too; code from outside that it
        names, or that made an input, counts by itself.
        """
        ...

    def run(self, context: StageContext) -> None:
        """Read the inputs and write all outputs; on failure raise."""


@dataclass
class StageContext:
    """What a stage may use.

    Attributes
    ----------
    config : Any
        The resolved configuration.
    seed : int
        The run's seed.
    run_dir : Path
        The run's folder, to name in messages; files are had through `path` and `scratch`.
    stage : Stage
        Whose context this is.
    log : Any
        A structlog logger, bound to the stage, that writes ``log.jsonl``.
    console : rich.console.Console
        For progress; on standard error.
    resume : bool
        Whether `scratch` may hold the state of an attempt with the very same key that did not
        finish. If False, scratch and outputs are empty.
    summary : dict
        What the stage wants the manifest to say of it; JSON-ready, NumPy scalars allowed.
    """

    config: Any
    seed: int
    run_dir: Path
    stage: Stage
    log: Any
    console: Any
    resume: bool
    artifacts: Mapping[str, str] = field(repr=False)
    record_scratch: Callable[[str], None] = field(repr=False)
    summary: dict[str, Any] = field(default_factory=dict)

    def path(self, artifact: str) -> Path:
        """Return the place of one of the stage's own inputs or outputs.

        The folder around an output exists.

        Raises
        ------
        ValueError
            For any other artifact: what a stage does not declare, its key does not cover.
        """
        if artifact not in (*self.stage.inputs, *self.stage.outputs):
            raise ValueError(
                f"stage {self.stage.name!r} declares no artifact {artifact!r}; it has "
                f"inputs {self.stage.inputs} and outputs {self.stage.outputs}"
            )
        path = self.run_dir / self.artifacts[artifact]
        if artifact in self.stage.outputs:
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def scratch(self, name: str) -> Path:
        """Return an existing folder of the stage's own, ``<run>/<stage>/<name>``.

        What is in there survives an interruption and is no artifact: nothing is hashed.

        Raises
        ------
        ValueError
            If the name is no plain name, or the folder would lie inside an artifact.
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
    """Tell whether one of two relative paths is, or contains, the other."""
    parts_a, parts_b = PurePosixPath(a).parts, PurePosixPath(b).parts
    shorter = min(len(parts_a), len(parts_b))
    return parts_a[:shorter] == parts_b[:shorter]


def check_wiring(stages: Sequence[Stage], artifacts: Mapping[str, str]) -> None:
    """Check that the stages fit together; a mistake here is a defect of ours.

    Raises
    ------
    ValueError
        If a name is used twice, an artifact has no place or a place outside the run, two
        artifacts overlap, or an input is not made by an earlier stage.
    """
    for name, where in artifacts.items():
        parts = PurePosixPath(where).parts
        if not parts or where.startswith("/") or ".." in parts or parts[0] in RESERVED:
            raise ValueError(f"artifact {name!r} has the impossible place {where!r}")
    names = list(artifacts)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            if overlap(artifacts[a], artifacts[b]):
                raise ValueError(f"artifacts {a!r} and {b!r} overlap")
    made: set[str] = set()
    seen: set[str] = set()
    for stage in stages:
        if stage.name in seen:
            raise ValueError(f"two stages are called {stage.name!r}")
        seen.add(stage.name)
        for artifact in (*stage.inputs, *stage.outputs):
            if artifact not in artifacts:
                raise ValueError(f"stage {stage.name!r}: artifact {artifact!r} has no place")
        for artifact in stage.inputs:
            if artifact not in made:
                raise ValueError(f"stage {stage.name!r}: nothing before it makes {artifact!r}")
        for artifact in stage.outputs:
            if artifact in made:
                raise ValueError(f"stage {stage.name!r}: artifact {artifact!r} is made twice")
        made.update(stage.outputs)
