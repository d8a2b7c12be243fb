"""Whatever stops a run, it goes on to the very bytes of the run that was never stopped."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from small_runs import command, hashes, script, start_script, statuses, temporaries

pytestmark = pytest.mark.slow

# Some seconds of training, with a checkpoint every few hundredths of a second.
LONG = """\
data: {source: synthetic, params: {n_bars: 1500}}
features: {columns: [{name: returns, horizons: [1, 5, 20]}, {name: rsi}]}
split: {kind: single}
strategy:
  name: dqn
  training:
    {steps: 4000, trajectories: 64, validation_interval: 400, checkpoint_interval: 50, patience: 0}
  hyperparameters:
    hidden_layers: [32, 32]
    batch_size: 32
    buffer_size: 50000
    learning_starts: 500
    train_frequency: 1
    gradient_steps: 4
    exploration_fraction: 0.9
evaluation: {random_draws: 11}
"""
STEPS = 4000
# The same in two stages: agents whose least agreement counts, then those that decide.
ENSEMBLE = (
    LONG.partition("strategy:")[0]
    + """\
strategy:
  training: {agents: 4, hidden_layers: [32, 32], batch_size: 32, checkpoint_interval: 50,
    screening_steps: 2000, steps: 2000, caution: 0.001}
evaluation: {random_draws: 11}
"""
)
CONFIGS = {"dqn": LONG, "ensemble": ENSEMBLE}


@pytest.fixture(scope="module", params=CONFIGS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def whole(kind: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The hashes of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "long.yaml").write_text(CONFIGS[kind])
    done = script(folder, "-c", "long.yaml")
    assert done.returncode == 0, done.stderr
    assert statuses(folder / "runs/latest") == ["complete"] * 6
    assert f'"steps": {STEPS},' in (folder / "runs/latest/training/summary.json").read_text()
    return hashes(folder / "runs/latest")


@pytest.fixture
def run_dir(kind: str, tmp_path: Path) -> Path:
    (tmp_path / "long.yaml").write_text(CONFIGS[kind])
    return tmp_path / "runs/mine"


def checkpoints(run_dir: Path) -> list[Path]:
    return sorted((run_dir / "training/checkpoints").glob("step-*.safetensors"))


def newest_step(run_dir: Path) -> int:
    found = checkpoints(run_dir)
    return int(found[-1].stem.removeprefix("step-")) if found else -1


def started(run_dir: Path, step: int) -> subprocess.Popen[str]:
    """Start the run, and return when the checkpoint of `step`, or a later one, is there."""
    process = start_script(run_dir.parents[1], "-c", "long.yaml", "--run-id", run_dir.name)
    deadline = time.monotonic() + 60
    while newest_step(run_dir) < step:
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        assert time.monotonic() < deadline, f"no checkpoint of step {step}"
        time.sleep(0.002)
    return process


def stopped(process: subprocess.Popen[str], number: int) -> str:
    """Send a signal, and return what the process said on standard error."""
    assert process.poll() is None
    process.send_signal(number)
    return process.communicate(timeout=30)[1]


def resumed(run_dir: Path) -> str:
    done = script(run_dir.parents[1], "--resume", run_dir.name)
    assert done.returncode == 0, done.stderr
    assert statuses(run_dir) == ["complete"] * 6
    assert temporaries(run_dir.parent) == []
    return done.stderr


@pytest.mark.parametrize("moment", [0.02, 0.3, 0.8])
def test_kill_in_training(run_dir: Path, whole: dict[str, str], moment: float) -> None:
    process = started(run_dir, int(moment * STEPS))
    # At any moment between two checkpoints, or in the middle of one.
    time.sleep(random.uniform(0.0, 0.03))
    assert stopped(process, signal.SIGKILL).count("error") == 0
    assert process.returncode == -signal.SIGKILL
    assert statuses(run_dir)[:4] == ["running", "complete", "complete", "running"]
    assert not (run_dir / "training/policy.safetensors").exists()
    said = resumed(run_dir)
    assert "[1/5] data_ingestion: unchanged, not run again\n" in said
    assert "[3/5] training: continuing\n" in said
    assert "damaged" not in said
    assert hashes(run_dir) == whole


def test_kill_again_and_again(run_dir: Path, whole: dict[str, str]) -> None:
    stopped(started(run_dir, 300), signal.SIGKILL)
    for step in (1500, 3000):
        process = start_script(run_dir.parents[1], "--resume", run_dir.name)
        while newest_step(run_dir) < step:
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
        stopped(process, signal.SIGKILL)
    resumed(run_dir)
    assert hashes(run_dir) == whole


@pytest.mark.parametrize(
    ("number", "step"), [(signal.SIGINT, 1000), (signal.SIGTERM, 1000), (signal.SIGINT, 2500)]
)
def test_stop_in_training(run_dir: Path, whole: dict[str, str], number: int, step: int) -> None:
    process = started(run_dir, step)
    said = stopped(process, number)
    assert process.returncode == 130
    lines = said.splitlines()
    assert lines[-1] == (
        "error: interrupted in stage training; continue with: rsc run --resume mine"
    )
    assert "Traceback" not in said
    rest = ["interrupted", "pending", "pending"]
    assert statuses(run_dir) == ["interrupted", "complete", "complete", *rest]
    resumed(run_dir)
    assert hashes(run_dir) == whole


@pytest.mark.parametrize("step", [1000, 2500])
def test_a_truncated_checkpoint_is_skipped_and_that_is_said(
    run_dir: Path, whole: dict[str, str], step: int
) -> None:
    stopped(started(run_dir, step), signal.SIGKILL)
    *_, before, newest = checkpoints(run_dir)
    newest.write_bytes(newest.read_bytes()[:1000])
    said = resumed(run_dir)
    skipped = [line for line in said.splitlines() if "skipped a damaged checkpoint" in line]
    assert len(skipped) == 1
    assert newest.name in skipped[0]
    log = (run_dir / "log.jsonl").read_text(encoding="utf-8")
    resumed_from = int(before.stem.removeprefix("step-"))
    assert f'"step": {resumed_from}, "event": "training resumed"' in log
    assert hashes(run_dir) == whole


@pytest.mark.parametrize("kind", ["dqn"], indirect=True)
def test_a_full_disk(run_dir: Path, whole: dict[str, str]) -> None:
    """No file may grow beyond a limit, which the checkpoints reach as the replay fills."""
    limit = 200_000
    done = subprocess.run(
        command("-c", "long.yaml", "--run-id", run_dir.name),
        cwd=run_dir.parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: runs/mine/training/checkpoints/step-")
    assert last.endswith(
        ".safetensors: cannot write: File too large; saved files are intact. Free some space, "
        "then: rsc run --resume mine"
    )
    assert statuses(run_dir)[:4] == ["failed", "complete", "complete", "failed"]
    assert temporaries(run_dir) == []
    newest = newest_step(run_dir)
    assert 0 < newest < STEPS
    said = resumed(run_dir)
    assert "damaged" not in said
    log = (run_dir / "log.jsonl").read_text(encoding="utf-8")
    assert f'"step": {newest}, "event": "training resumed"' in log
    assert hashes(run_dir) == whole
