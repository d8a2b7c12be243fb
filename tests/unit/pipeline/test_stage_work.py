"""What was complete stays until its replacement is; whatever stops an attempt leaves a way back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy_pipeline as toy
from test_runner import Lab
from toy_pipeline import ARTIFACTS, ToyConfig

from reinforcestrategycreator_pipeline import files
from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError, DataError
from reinforcestrategycreator_pipeline.files import put
from reinforcestrategycreator_pipeline.pipeline import stage_work
from reinforcestrategycreator_pipeline.runs.manifest import hash_artifact, load_manifest

LONGER = ToyConfig(training=toy.TrainingConfig(steps=7))


class Killed(BaseException):
    """The end of the process, as far as a test in one process can have it."""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "runs")


def places(lab: Lab) -> dict[str, str | None]:
    return {name: hash_artifact(lab.runs / "toy" / where) for name, where in ARTIFACTS.items()}


def killed_at(monkeypatch: pytest.MonkeyPatch, put_number: int) -> None:
    """Have the process end before an output takes its place, counted from 0."""
    done: list[Path] = []

    def counted(new: Path, path: Path) -> None:
        if len(done) == put_number:
            raise Killed
        done.append(path)
        put(new, path)

    monkeypatch.setattr(stage_work.files, "put", counted)


def test_a_source_that_is_gone_costs_nothing(lab: Lab) -> None:
    """Regression: a resume removed data/bars.parquet before it found that the file was gone."""
    lab.start()
    before = places(lab)

    class Gone(toy.Data):
        def section(self, config: Any) -> Any:
            return "another fingerprint: no file"

        def run(self, context: Any) -> None:
            raise DataError("prices.csv: no such file.")

    lab.stages[0] = Gone()
    with pytest.raises(DataError):
        lab.resume()
    assert places(lab) == before
    assert lab.statuses() == ["failed", "failed", "complete", "complete"]
    lab.mend()  # the file is back
    assert lab.resume().unchanged == ("data", "training", "evaluation")
    assert lab.statuses() == ["complete"] * 4


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_stage_that_fails_leaves_the_outputs_of_the_attempt_before(lab: Lab, stage: int) -> None:
    lab.start()
    before = places(lab)

    class Half:
        def __init__(self, inner: Any) -> None:
            self.inner, self.name = inner, inner.name
            self.inputs, self.outputs = inner.inputs, inner.outputs

        def section(self, config: Any) -> Any:
            return [self.inner.section(config), "changed"]

        def run(self, context: Any) -> None:
            self.inner.run(context)
            raise DataError("too late")

    lab.stages[stage] = Half(lab.stages[stage])
    with pytest.raises(DataError):
        lab.resume()
    assert places(lab) == before
    lab.mend()
    assert len(lab.resume().unchanged) == 3
    assert not (lab.runs / "toy" / ".new").exists()


def test_an_interrupted_change_can_be_taken_back(lab: Lab) -> None:
    lab.start()
    before = places(lab)
    lab.fail_at(3, KeyboardInterrupt())
    with pytest.raises(BaseException, match="interrupted in stage training"):
        lab.resume(LONGER)
    assert places(lab) == before
    lab.mend()
    assert lab.resume().unchanged == ("data", "training", "evaluation")


@pytest.mark.parametrize("number", [0, 1])
def test_killed_while_outputs_take_their_places(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    lab.start(LONGER, "fresh")
    lab.mend()
    lab.start()
    with monkeypatch.context() as patch:
        killed_at(patch, 1 + number)  # the first is the training's
        with pytest.raises(BaseException, match="Killed"):
            lab.resume(LONGER)
    # Nothing is computed again: the rest is put into its place.
    lab.stages[2].run = None
    assert "evaluation" in lab.resume(LONGER).unchanged
    assert lab.hashes() == lab.hashes("fresh")
    assert {name: places(lab)[name] for name in ARTIFACTS} == lab.hashes("fresh")


@pytest.mark.parametrize("number", [0, 1])
def test_half_published_and_taken_back(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    lab.start()
    good = lab.hashes()
    change = replace(ToyConfig(), report=toy.ReportConfig(title="New", threshold=99.0))
    with monkeypatch.context() as patch:
        killed_at(patch, number)
        with pytest.raises(BaseException, match="Killed"):
            lab.resume(change)
    found = lab.resume().unchanged
    assert found == (("data", "training", "evaluation") if number == 0 else ("data", "training"))
    assert lab.hashes() == good == places(lab)


def test_published_is_called_until_it_returned(lab: Lab) -> None:
    seen: list[tuple[str, bool]] = []

    class Shows(toy.Report):
        fails: BaseException | None = DataError("the page cannot be rendered")

        def published(self, context: Any) -> None:
            path = context.path("html")
            seen.append((path.read_text(), path == lab.runs / "toy" / ARTIFACTS["html"]))
            if self.fails is not None:
                raise self.fails

    lab.stages[2] = Shows()
    with pytest.raises(DataError):
        lab.start()
    assert lab.statuses() == ["failed", "complete", "complete", "failed"]
    Shows.fails = None
    Shows.run = None  # type: ignore[assignment]  # the stage itself is not run again
    lab.resume()
    assert lab.statuses() == ["complete"] * 4
    assert [in_place for _, in_place in seen] == [True, True]
    lab.resume()
    assert len(seen) == 2


def test_figures_of_an_earlier_input_are_not_shown(lab: Lab, monkeypatch) -> None:
    """While the training is new and the evaluation is not, the evaluation is pending."""
    lab.start()
    lab.stages[0].section = lambda config: "another file"
    lab.stages[0].run = lambda context: toy.write_json(context.path("numbers"), [1, 2])
    lab.fail_at(0, DataError("no"))
    with pytest.raises(DataError):
        lab.resume()
    assert lab.statuses() == ["failed", "complete", "failed", "pending"]


def test_a_changed_configuration_makes_all_pending_at_once(lab: Lab) -> None:
    lab.start()
    lab.stages[0].section = _stop
    with pytest.raises(DataError):
        lab.resume(replace(ToyConfig(), report=toy.ReportConfig(title="New")))
    assert lab.statuses()[1:] == ["pending"] * 3


def _stop(config: Any) -> Any:
    raise DataError("stop")


def test_restart_runs_a_stage_from_its_beginning(lab: Lab) -> None:
    lab.start()
    good = lab.hashes()
    outcome = lab.resume(restart="training")
    assert outcome.unchanged == ("data", "evaluation")  # the same outputs
    assert lab.stages[1].first_steps == [0, 0]
    assert lab.hashes() == good
    with pytest.raises(ConfigError, match=r"no stage 'trainin' to restart\. Did you mean 'train"):
        lab.resume(restart="trainin")


def test_restart_forgets_the_checkpoints(lab: Lab) -> None:
    lab.fail_at(3, KeyboardInterrupt())
    with pytest.raises(BaseException, match="interrupted"):
        lab.start()
    lab.mend()
    lab.resume(restart="training")
    assert lab.stages[1].first_steps == [0]


def test_checkpoints_that_cannot_be_read_name_the_way(lab: Lab) -> None:
    lab.fail_at(3, CheckpointError("no checkpoint can be read: a, b"))
    for act in (lab.start, lab.resume):
        with pytest.raises(CheckpointError) as error:
            act()
        assert str(error.value) == (
            "no checkpoint can be read: a, b. Begin the stage again with: rsc run --resume toy "
            f"--runs-dir {lab.runs} --restart training"
        )


def test_config_yaml_may_be_old_or_missing_but_not_another(lab: Lab) -> None:
    lab.start()
    manifest = load_manifest(lab.runs / "toy")
    (written,) = manifest.config_files
    path = lab.runs / "toy" / "config.yaml"
    assert hash_artifact(path) == written
    path.unlink()
    lab.resume()
    assert hash_artifact(path) == written


def test_a_kill_between_manifest_and_config_yaml(lab: Lab, monkeypatch) -> None:
    lab.start()
    old = hash_artifact(lab.runs / "toy" / "config.yaml")

    write_text = files.write_text

    def end(path: Path, text: str) -> None:
        if path.name == "config.yaml":
            raise Killed
        write_text(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_text", end)
        with pytest.raises(Killed):
            lab.resume(LONGER)
    manifest = json.loads((lab.runs / "toy" / "manifest.json").read_text())
    assert manifest["config"]["training"]["steps"] == 7
    assert manifest["config_files"][1] == old
    lab.resume(LONGER)
    assert len(load_manifest(lab.runs / "toy").config_files) == 1


def test_what_a_killed_process_left_is_swept(lab: Lab) -> None:
    lab.start()
    left = [".manifest.json.abcd_123.tmp", "data/.numbers.json.abcd_123.tmp", ".new/training/x"]
    for name in left:
        path = lab.runs / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (lab.runs / "toy" / "notes.tmp").touch()  # the user's own
    lab.resume()
    hidden = {p.name for p in (lab.runs / "toy").rglob("*")} - set(ARTIFACTS)
    assert not [name for name in hidden if name.endswith("_123.tmp") or name == ".new"]
    assert (lab.runs / "toy" / "notes.tmp").exists()
