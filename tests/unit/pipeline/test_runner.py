from __future__ import annotations

import errno
import fcntl
import importlib
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy_pipeline as toy
from rich.console import Console
from toy_pipeline import ARTIFACTS, ToyConfig

from reinforcestrategycreator_pipeline.errors import DataError, Interrupted, RunError
from reinforcestrategycreator_pipeline.files import sha256_file
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.runner import Runner, RunOutcome, StageDefect
from reinforcestrategycreator_pipeline.runs.manifest import load_manifest


class Lab:
    """Starts and resumes toy runs in one store, and keeps what was said."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.stages: list[Any] = toy.build_stages()
        self.said = ""

    def _runner(self) -> tuple[Runner, io.StringIO]:
        text = io.StringIO()
        return Runner(self.stages, ARTIFACTS, Console(file=text, width=200)), text

    def start(self, config: ToyConfig | None = None, run_id: str = "toy") -> RunOutcome:
        runner, text = self._runner()
        try:
            return runner.start(config or ToyConfig(), self.runs, run_id)
        finally:
            self.said = text.getvalue()

    def resume(
        self, config: ToyConfig | None = None, run_id: str = "toy", restart: str | None = None
    ) -> RunOutcome:
        runner, text = self._runner()
        try:
            return runner.resume(self.runs / run_id, config or ToyConfig(), restart)
        finally:
            self.said = text.getvalue()

    def fail_at(self, step: int, error: BaseException) -> None:
        def at_step(now: int) -> None:
            if now == step:
                raise error

        self.stages[1].at_step = at_step

    def mend(self) -> None:
        self.stages = toy.build_stages()

    def hashes(self, run_id: str = "toy") -> dict[str, str]:
        records = load_manifest(self.runs / run_id).stages.values()
        return {name: digest for r in records for name, digest in r.outputs.items()}

    def statuses(self, run_id: str = "toy") -> list[str]:
        manifest = load_manifest(self.runs / run_id)
        return [manifest.status, *(r.status for r in manifest.stages.values())]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "runs")


def test_a_run_leaves_everything_in_its_folder(lab: Lab) -> None:
    outcome = lab.start(ToyConfig(seed=3))
    assert outcome.unchanged == ()
    run = lab.runs / "toy"
    assert outcome.run_dir == run
    assert (lab.runs / "latest").readlink() == Path("toy")
    assert load_config(ToyConfig, run / "config.yaml") == ToyConfig(seed=3)
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["seed"] == 3
    assert manifest["config"]["data"] == {"count": 4}
    assert manifest["environment"]["python"].startswith("3.")
    assert manifest["environment"]["libraries"]["numpy"]
    assert "/" not in json.dumps(manifest["environment"]["threadpools"])
    data, training, evaluation = manifest["stages"].values()
    assert list(manifest["stages"]) == ["data", "training", "evaluation"]
    assert data["outputs"] == {"numbers": sha256_file(run / "data" / "numbers.json")}
    assert training["inputs"] == data["outputs"]
    assert set(evaluation["inputs"]) == {"numbers", "weights"}
    assert training["seconds"] >= 0
    assert isinstance(data["summary"]["mean"], float)
    assert lab.said.splitlines()[0] == f"run toy in {run}"
    assert "[2/3] training: running" in lab.said
    assert re.search(r"\[3/3\] evaluation: done in \d+\.\d s", lab.said)


def test_blas_is_pinned_to_one_thread_and_released(lab: Lab) -> None:
    import threadpoolctl

    before = threadpoolctl.threadpool_info()
    pools = lab.start().manifest.environment["threadpools"]
    assert any(pool["user_api"] == "blas" for pool in pools)
    assert {pool["num_threads"] for pool in pools} == {1}
    assert threadpoolctl.threadpool_info() == before


def test_same_seed_same_hashes_other_seed_other(lab: Lab) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        lab.start(ToyConfig(seed=seed), name)
    assert lab.hashes("a") == lab.hashes("b")
    assert all(lab.hashes("a")[k] != v for k, v in lab.hashes("c").items())


def test_nothing_changed_nothing_runs(lab: Lab) -> None:
    lab.start()
    outcome = lab.resume()
    assert outcome.unchanged == ("data", "training", "evaluation")
    assert "[2/3] training: unchanged, not run again" in lab.said
    assert lab.statuses() == ["complete"] * 4
    assert len(outcome.manifest.resumed) == 1


@pytest.mark.parametrize(
    ("change", "unchanged"),
    [
        ({"report": toy.ReportConfig(title="New")}, ("data", "training")),
        ({"training": toy.TrainingConfig(steps=6)}, ("data",)),
        ({"data": toy.DataConfig(count=5)}, ()),
        ({"seed": 9}, ()),
    ],
)
def test_a_changed_section_runs_that_stage_and_what_depends_on_it(
    lab: Lab, change: dict[str, Any], unchanged: tuple[str, ...]
) -> None:
    lab.start()
    config = replace(ToyConfig(), **change)
    assert lab.resume(config).unchanged == unchanged
    assert load_config(ToyConfig, lab.runs / "toy" / "config.yaml") == config
    lab.start(config, "fresh")
    assert lab.hashes() == lab.hashes("fresh")


def test_same_outputs_after_a_change_stop_the_chain(lab: Lab) -> None:
    class Rounded(toy.Data):
        def section(self, config: Any) -> Any:
            return [super().section(config), "a comment that changes no number"]

    lab.start()
    lab.stages[0] = Rounded()
    assert lab.resume().unchanged == ("training", "evaluation")


def test_another_package_version_runs_everything(lab: Lab, monkeypatch) -> None:
    lab.start()
    monkeypatch.setattr("reinforcestrategycreator_pipeline.pipeline.runner.__version__", "99")
    outcome = lab.resume()
    assert outcome.unchanged == ()
    assert outcome.manifest.package_version == "99"


@pytest.mark.parametrize("how", ["flip", "truncate", "delete", "add"])
def test_a_damaged_output_is_noticed_and_made_again(lab: Lab, how: str) -> None:
    lab.start()
    good = lab.hashes()
    victim = lab.runs / "toy" / "training" / "weights" / "sum.json"
    if how == "flip":
        data = bytearray(victim.read_bytes())
        data[0] ^= 1
        victim.write_bytes(data)
    elif how == "truncate":
        victim.write_bytes(b"")
    elif how == "delete":
        victim.unlink()
    else:
        (victim.parent / "intruder").write_bytes(b"")
    assert lab.resume().unchanged == ("data", "evaluation")
    assert "[2/3] training: weights missing or damaged; running again" in lab.said
    assert lab.stages[1].first_steps == [0, 0]  # its checkpoints are not trusted either
    assert lab.hashes() == good
    assert not (victim.parent / "intruder").exists()


def test_ctrl_c_then_resume_gives_the_uninterrupted_bytes(lab: Lab) -> None:
    lab.start(run_id="whole")
    lab.fail_at(3, KeyboardInterrupt())
    with pytest.raises(Interrupted) as error:
        lab.start()
    assert error.value.exit_code == 130
    assert str(error.value) == (
        f"interrupted in stage training; continue with: rsc run --resume toy --runs-dir {lab.runs}"
    )
    assert lab.statuses() == ["interrupted", "complete", "interrupted", "pending"]
    lab.mend()
    assert lab.resume().unchanged == ("data",)
    assert "[2/3] training: continuing" in lab.said
    assert lab.stages[1].first_steps == [3]
    assert lab.hashes() == lab.hashes("whole")


def test_the_hint_to_resume_is_short_in_the_usual_store(lab: Lab, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    lab.runs = Path("runs")
    lab.fail_at(0, Interrupted("saved at step 0"))
    with pytest.raises(Interrupted) as error:
        lab.start()
    assert str(error.value) == (
        "interrupted in stage training (saved at step 0); continue with: rsc run --resume toy"
    )


def test_a_changed_section_does_not_continue_from_old_checkpoints(lab: Lab) -> None:
    lab.fail_at(3, KeyboardInterrupt())
    with pytest.raises(Interrupted):
        lab.start()
    config = ToyConfig(training=toy.TrainingConfig(steps=7))
    lab.mend()
    lab.resume(config)
    assert lab.stages[1].first_steps == [0]
    lab.start(config, "fresh")
    assert lab.hashes() == lab.hashes("fresh")


def test_an_interruption_before_the_unfinished_stage_keeps_its_checkpoints(lab: Lab) -> None:
    lab.fail_at(3, KeyboardInterrupt())
    with pytest.raises(Interrupted):
        lab.start()
    lab.mend()
    lab.stages[0].section = _raise_interrupt
    with pytest.raises(Interrupted, match="interrupted in stage data"):
        lab.resume()
    lab.mend()
    lab.resume()
    assert lab.stages[1].first_steps == [3]


def _raise_interrupt(config: Any) -> Any:
    raise KeyboardInterrupt


def test_what_the_user_got_wrong_stays_one_line(lab: Lab) -> None:
    lab.fail_at(1, DataError("a.csv: line 3: close must be > 0."))
    with pytest.raises(DataError, match=r"^a.csv: line 3: close must be > 0\.$"):
        lab.start()
    assert lab.statuses() == ["failed", "complete", "failed", "pending"]
    record = load_manifest(lab.runs / "toy").stages["training"]
    assert record.error == "a.csv: line 3: close must be > 0."
    assert record.seconds is not None
    lab.mend()
    lab.resume()
    assert lab.statuses() == ["complete"] * 4


def test_what_a_stage_reads_is_read_with_the_code_that_made_it(lab: Lab, monkeypatch) -> None:
    # The configuration's data section names it; the evaluation reads what the data stage made.
    module = lab.runs.parent / "maker_of_numbers.py"
    module.write_text("x = 1\n")
    monkeypatch.syspath_prepend(module.parent)
    importlib.import_module("maker_of_numbers")
    lab.stages[0].section = lambda config: "maker_of_numbers:x"
    lab.start()
    keys = [record.key for record in load_manifest(lab.runs / "toy").stages.values()]
    assert lab.resume().unchanged == ("data", "training", "evaluation")
    module.write_text("x = 1  # with a remark\n")
    assert lab.resume().unchanged == ()
    again = [record.key for record in load_manifest(lab.runs / "toy").stages.values()]
    assert len({*keys, *again}) == 6


@pytest.fixture
def ours(monkeypatch) -> None:
    """Count what the toy's stages raise as raised by code of ours."""
    monkeypatch.setattr("reinforcestrategycreator_pipeline.pipeline.runner.blame", lambda error: "")


def test_code_from_outside_is_blamed_and_its_traceback_logged(lab: Lab) -> None:
    lab.fail_at(1, ZeroDivisionError("oh"))
    with pytest.raises(RunError) as found:
        lab.start()
    blamed = r"in stage training: user code at test_runner\.py:\d+ raised ZeroDivisionError: oh"
    assert re.fullmatch(blamed, str(found.value))
    last = json.loads((lab.runs / "toy" / "log.jsonl").read_text().splitlines()[-1])
    assert "in at_step" in last["exception"]


def test_warnings_reach_the_log_and_the_user(lab: Lab) -> None:
    logger = logging.getLogger("reinforcestrategycreator_pipeline.models.learner.guards")
    lab.stages[1].at_step = lambda step: logger.warning("%s", "most units are dead")
    lab.start()
    events = [json.loads(x) for x in (lab.runs / "toy" / "log.jsonl").read_text().splitlines()]
    assert {(e["event"], e["level"], e["logger"]) for e in events if "logger" in e} == {
        ("most units are dead", "warning", logger.name)
    }
    assert "warning: most units are dead\n" in lab.said
    assert logging.getLogger("reinforcestrategycreator_pipeline").handlers == []


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize("error", [ZeroDivisionError("oh"), SystemExit(0)])
def test_a_defect_is_said_and_its_traceback_logged(lab: Lab, error: BaseException) -> None:
    lab.fail_at(1, error)
    with pytest.raises(StageDefect) as found:
        lab.start()
    log = lab.runs / "toy" / "log.jsonl"
    assert found.value.exit_code == 70
    assert str(found.value) == (
        f"internal error in stage training: {type(error).__name__}: {error}; details in {log}"
    )
    last = json.loads(log.read_text().splitlines()[-1])
    assert last["level"] == "error"
    assert last["stage"] == "training"
    assert "in at_step" in last["exception"]
    assert lab.statuses() == ["failed", "complete", "failed", "pending"]


@pytest.mark.parametrize(
    ("said", "end"), [("", "."), ("Unable to allocate 9 TiB", " (Unable to allocate 9 TiB).")]
)
def test_too_little_memory_is_no_defect(lab: Lab, said: str, end: str) -> None:
    lab.fail_at(1, MemoryError(said))
    with pytest.raises(RunError) as found:
        lab.start()
    assert str(found.value) == f"in stage training: not enough memory{end}"
    assert lab.statuses() == ["failed", "complete", "failed", "pending"]


def test_a_full_disk_is_no_defect(lab: Lab) -> None:
    lab.fail_at(1, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(RunError, match=r"^in stage training: No space left on device; saved"):
        lab.start()


def test_a_manifest_that_cannot_be_written_hides_no_error(lab: Lab, monkeypatch) -> None:
    def at_step(step: int) -> None:
        monkeypatch.setattr(
            "reinforcestrategycreator_pipeline.runs.manifest.files.write_text", refuse
        )
        raise DataError("the cause")

    def refuse(path: Path, text: str) -> None:
        raise RunError("manifest.json: cannot write: No space left on device")

    monkeypatch.setattr(toy, "write_json", toy.write_json)
    lab.stages[1].at_step = at_step
    with pytest.raises(RunError, match=r"^the cause \(manifest.json: cannot write"):
        lab.start()


def test_an_output_that_is_not_written_is_a_defect(lab: Lab) -> None:
    class Lazy(toy.Report):
        def run(self, context: Any) -> None:
            pass

    lab.stages[2] = Lazy()
    with pytest.raises(StageDefect, match="RuntimeError: the stage did not write its output 'html"):
        lab.start()


@pytest.mark.usefixtures("ours")
def test_a_stage_gets_only_the_artifacts_it_declares(lab: Lab) -> None:
    class Nosy(toy.Report):
        inputs = ("weights",)

        def run(self, context: Any) -> None:
            context.path("numbers")

    lab.stages[2] = Nosy()
    with pytest.raises(StageDefect, match="stage 'evaluation' declares no artifact 'numbers'"):
        lab.start()


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../data", "a scratch folder needs a plain name"),
        ("", "a scratch folder needs a plain name"),
        ("/x", "a scratch folder needs a plain name"),
        ("report.html", "overlaps artifact 'html'"),
    ],
)
def test_scratch_stays_in_its_place(lab: Lab, name: str, message: str) -> None:
    class Messy(toy.Report):
        def run(self, context: Any) -> None:
            context.scratch(name)

    lab.stages[2] = Messy()
    with pytest.raises(StageDefect, match=message):
        lab.start()


@pytest.mark.parametrize(
    ("artifacts", "order", "message"),
    [
        ({**ARTIFACTS, "numbers": "../x"}, (0, 1, 2), "'numbers' has the invalid path"),
        ({**ARTIFACTS, "numbers": "/x"}, (0, 1, 2), "'numbers' has the invalid path"),
        ({**ARTIFACTS, "numbers": "log.jsonl"}, (0, 1, 2), "'numbers' has the invalid path"),
        ({**ARTIFACTS, "html": "training/weights/x"}, (0, 1, 2), "'weights' and 'html' overlap"),
        ({"numbers": "a", "html": "b"}, (0, 1, 2), "stage 'training': artifact 'weights' has no"),
        (ARTIFACTS, (1, 0, 2), "stage 'training': no earlier stage writes 'numbers'"),
        (ARTIFACTS, (0, 0), "two stages are named 'data'"),
    ],
)
def test_stages_that_do_not_fit_together(artifacts, order, message: str) -> None:
    stages = toy.build_stages()
    with pytest.raises(ValueError, match=message):
        Runner([stages[i] for i in order], artifacts, Console())


def test_a_summary_that_json_cannot_hold(lab: Lab) -> None:
    class Odd(toy.Report):
        value: Any = float("nan")

        def run(self, context: Any) -> None:
            super().run(context)
            context.summary["odd"] = self.value

    lab.stages[2] = Odd()
    assert lab.start().manifest.stages["evaluation"].summary["odd"] is None
    Odd.value = object()
    with pytest.raises(
        StageDefect, match="TypeError: cannot write an object of type object as JSON"
    ):
        lab.start(run_id="again")


def test_one_process_a_run(lab: Lab) -> None:
    lab.start()
    with (lab.runs / "toy" / ".lock").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunError) as error:
            lab.resume()
    assert str(error.value) == (f"the run 'toy' is in use by another process ({os.getpid()}).")
    lab.resume()


def test_a_run_in_another_thread_leaves_signals_alone(lab: Lab) -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lab.start)
    thread.start()
    thread.join()
    assert lab.statuses() == ["complete"] * 4
    assert signal.getsignal(signal.SIGTERM) is before


def hanging_process(runs: Path) -> subprocess.Popen[str]:
    """Start the toy in a process of its own; when this returns it hangs in training, step 2."""
    process = subprocess.Popen(
        [sys.executable, toy.__file__, str(runs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "hanging\n"
    return process


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signals_interrupt_and_say_how_to_continue(lab: Lab, signum: signal.Signals) -> None:
    process = hanging_process(lab.runs)
    process.send_signal(signum)
    said, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    assert said.startswith("Interrupted: interrupted in stage training; continue with: rsc run")
    assert lab.statuses() == ["interrupted", "complete", "interrupted", "pending"]


def test_kill_9_then_resume_gives_the_uninterrupted_bytes(lab: Lab) -> None:
    lab.start(run_id="whole")
    lab.mend()
    process = hanging_process(lab.runs)
    with pytest.raises(RunError, match="is in use by another process"):
        lab.resume()
    process.kill()
    process.communicate(timeout=10)
    assert lab.statuses() == ["running", "complete", "running", "pending"]
    assert lab.resume().unchanged == ("data",)
    assert lab.stages[1].first_steps == [2]
    assert lab.hashes() == lab.hashes("whole")


def test_two_runs_in_one_store_at_once(lab: Lab) -> None:
    outcomes: list[RunOutcome] = []

    def one() -> None:
        runner = Runner(toy.build_stages(), ARTIFACTS, Console(file=io.StringIO()))
        outcomes.append(runner.start(ToyConfig(), lab.runs))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({o.run_dir for o in outcomes}) == 4
    assert {o.manifest.status for o in outcomes} == {"complete"}
    assert (lab.runs / "latest").resolve() in {o.run_dir.resolve() for o in outcomes}
    assert sorted(p.name for p in lab.runs.iterdir()) == sorted(
        [".lock", "latest", *(o.run_dir.name for o in outcomes)]
    )
