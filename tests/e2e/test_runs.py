"""A run from data to deployment, what it leaves, and that the same seed leaves the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_runs import (
    QUICK,
    REPEATABLE,
    STAGES,
    Rsc,
    Said,
    hashes,
    manifest,
    rsc_in,
    script,
    start_script,
    statuses,
    temporaries,
)

from reinforcestrategycreator_pipeline.api.runs import Run
from reinforcestrategycreator_pipeline.deployment.package import load_package
from reinforcestrategycreator_pipeline.files import sha256_file
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.stages.catalog import ARTIFACTS, build_stages
from reinforcestrategycreator_pipeline.policies.dqn_training import HISTORY_COLUMNS
from reinforcestrategycreator_pipeline.runs.manifest import hash_artifact

# Two sinusoids that a feature shows: an edge that is there by construction.
EDGE = """\
data: {source: synthetic, params: {kind: sinusoids, n_bars: 1500}}
features: {columns: [{name: column, columns: [sin1, cos1, sin2, cos2]}]}
trading: {positions: [-1, 0, 1]}
strategy: {name: dqn, training: {steps: 1500, validation_interval: 250}}
evaluation: {random_draws: 51}
"""


@pytest.fixture
def rsc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Rsc:
    (tmp_path / "quick.yaml").write_text(QUICK)
    (tmp_path / "edge.yaml").write_text(EDGE)
    return rsc_in(tmp_path, monkeypatch, capsys)


def unchanged(said: Said) -> list[str]:
    return [
        name
        for i, name in enumerate(STAGES, start=1)
        if f"[{i}/5] {name}: unchanged, not run again\n" in said.err
    ]


def files(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the time of writing and the hash of every artifact."""
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, sha256_file(p))
        for where in ARTIFACTS.values()
        for p in [folder / where, *(folder / where).rglob("*")]
        if p.is_file()
    }


def test_a_run_leaves_everything_that_the_design_lists(rsc: Rsc) -> None:
    said = rsc("run", "-c", "quick.yaml", "--set", "data.params.symbols=[A, B]", "--run-id", "mine")
    assert said.code == 0
    assert said.errors == []
    assert "run       mine: complete" in said.out
    assert "report    runs/mine/evaluation/report.html" in said.out
    run_dir = Path("runs/mine")
    assert Path("runs/latest").resolve() == run_dir.resolve()
    for name in (
        "manifest.json",
        "config.yaml",
        "log.jsonl",
        "data/bars.parquet",
        "features/features.parquet",
        "training/history.csv",
        "training/checkpoints",
        "evaluation/metrics.json",
        "evaluation/trades.csv",
        "evaluation/equity.csv",
        "evaluation/report.html",
        "evaluation/report.md",
        "deployment/package/policy.safetensors",
        "deployment/package/config.yaml",
        "deployment/package/schema.json",
        "deployment/package/manifest.json",
        "deployment/paper_trading.json",
    ):
        assert (run_dir / name).exists(), name
    assert temporaries(Path("runs")) == []
    found = manifest(run_dir)
    assert statuses(run_dir) == ["complete"] * 6
    assert found["seed"] == 7
    assert found["environment"]["libraries"]["numpy"] == np.__version__
    made: dict[str, str] = {}
    for stage in build_stages():
        record = found["stages"][stage.name]
        assert record["inputs"] == {name: made[name] for name in stage.inputs}
        assert set(record["outputs"]) == set(stage.outputs)
        for name, digest in record["outputs"].items():
            assert digest == hash_artifact(run_dir / ARTIFACTS[name])
        made |= record["outputs"]
    resolved = load_config(RunConfig, run_dir / "config.yaml")
    assert resolved == load_config(
        RunConfig, Path("quick.yaml"), ["data.params.symbols=[A, B]"], environ={}
    )
    history = pd.read_csv(run_dir / "training/history.csv")
    assert tuple(history.columns) == (*HISTORY_COLUMNS, "constant_growth")
    assert history["step"].tolist() == [10, 20]
    for line in (run_dir / "log.jsonl").read_text(encoding="utf-8").splitlines():
        assert json.loads(line)["level"] in ("info", "warning")
    said = rsc("report", "latest")
    assert said.code == 0
    assert "run       mine: complete" in said.out


EVERY_OPTION = """\
  hyperparameters:
    {dueling: true, noisy: true, exploration_initial: 0, exploration_final: 0, head: c51,
    prioritized_replay: true, priority_alpha: 0.5, adam_epsilon: 1.5e-4,
    layer_norm: true, normalize_observations: true, learning_rate_schedule: linear,
    weight_decay: 0.01, max_grad_norm: 1, tau: 0.1, target_update_interval: 1, gradient_steps: -1,
    hidden_layers: [4], batch_size: 8, buffer_size: 1000, learning_starts: 0, log_interval: 5}
"""


def test_every_option_of_the_learner_runs_through_all_stages(rsc: Rsc) -> None:
    Path("options.yaml").write_text(QUICK.partition("  hyperparameters:")[0] + EVERY_OPTION)
    for run_id in ("one", "two"):
        said = rsc("run", "-c", "options.yaml", "--run-id", run_id)
        assert (said.code, said.errors) == (0, [])
    one, two = Path("runs/one"), Path("runs/two")
    for name in REPEATABLE:
        assert sha256_file(one / name) == sha256_file(two / name), name
    history = pd.read_csv(one / "training/history.csv")
    # Linear from 3e-4 to 0 over 20 steps; a step collects, then learns.
    expected = [3e-4 * (20 - k) / 20 for k in (4, 9, 14, 19)]
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-9)
    assert history["dead_units"].between(0, 1).all()
    # A cross-entropy is not comparable with the variance of the rewards.
    assert json.loads((one / "training/summary.json").read_text())["loss_floor"] is None
    report = (one / "evaluation/report.md").read_text()
    assert "it is defined only for the unweighted squared loss" in report
    assert "The floor (" not in report
    assert load_config(RunConfig, one / "config.yaml").strategy.hyperparameters.head == "c51"


def test_the_report_shows_the_configuration_that_the_run_has_now(rsc: Rsc) -> None:
    """A broker changes nothing in the evaluation, which is not run again; but its page says it."""
    Path("my_broker.py").write_text(
        "from reinforcestrategycreator_pipeline.deployment.brokers import simulated\n\n\n"
        "class Mine(simulated.SimulatedBroker):\n    pass\n"
    )
    assert rsc("run", "-c", "quick.yaml", "--run-id", "mine").code == 0
    pages = [Path("runs/mine/evaluation") / name for name in ("report.html", "report.md")]
    assert all("broker: simulated" in page.read_text("utf-8") for page in pages)
    said = rsc("run", "--resume", "mine", "--set", "deployment.broker=my_broker:Mine")
    assert said.code == 0
    assert unchanged(said) == list(STAGES[:4])
    for page in pages:
        text = page.read_text("utf-8")
        assert "my_broker:Mine" in text
        assert "broker: simulated" not in text


def test_the_report_is_made_again_from_the_folder_alone(rsc: Rsc) -> None:
    assert rsc("run", "-c", "quick.yaml", "--run-id", "mine").code == 0
    moved = Path("elsewhere/mine")
    moved.parent.mkdir()
    Path("runs/mine").rename(moved)
    pages = [moved / "evaluation" / name for name in ("report.html", "report.md")]
    for page in pages:
        page.unlink()
    said = rsc("report", str(moved))
    assert said.code == 1
    assert said.err.endswith("render it with: rsc report mine --runs-dir elsewhere --render\n")
    said = rsc("report", str(moved), "--render")
    assert (said.code, said.err) == (0, "")
    made = [page.read_bytes() for page in pages]
    assert rsc("report", str(moved), "--render").code == 0
    assert [page.read_bytes() for page in pages] == made
    # No stage's output: a page that is gone or was made anew runs nothing again.
    pages[0].unlink()
    said = rsc("run", "--resume", str(moved))
    assert unchanged(said) == list(STAGES)
    assert [page.read_bytes() for page in pages] == made


def test_what_a_run_says_in_words_is_not_in_its_manifest(rsc: Rsc) -> None:
    assert rsc("run", "-c", "quick.yaml", "--run-id", "mine").code == 0
    summary = manifest(Path("runs/mine"))["stages"]["evaluation"]["summary"]
    figures = summary.pop("figures")
    assert summary == {"strategy": "DQN", "promoted": False, "answer": "no evidence"}
    stored = json.loads(Path("runs/mine/evaluation/metrics.json").read_text("utf-8"))
    own = stored["metrics"]["PORTFOLIO"]["DQN"]
    assert figures == {key: value["value"] for key, value in own.items()}
    assert stored["strategy"] == "DQN"
    assert [info["key"] for info in stored["definitions"]][:2] == ["total_return", "annual_return"]
    shown = rsc("report", "mine").out
    reasons = [c["phrase"] for c in stored["decision"]["checks"]]
    assert any(reason in shown for reason in reasons)


def test_nothing_calls_a_users_model_a_dqn(rsc: Rsc) -> None:
    Path("my_model.py").write_text(
        "from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN\n\n\n"
        "class Ridge(DQN):\n    pass\n"
    )
    said = rsc(
        "run", "-c", "quick.yaml", "--run-id", "mine", "--set", "strategy.model=my_model:Ridge"
    )
    assert said.code == 0
    run_dir = Path("runs/mine")
    for name in ("evaluation/report.md", "deployment/package/MODEL_CARD.md"):
        text = (run_dir / name).read_text("utf-8")
        assert "Ridge" in text
        assert "DQN" not in text
        assert "deep Q-network" not in text.lower()
    assert "Ridge" in said.out
    assert "DQN" not in said.out + (run_dir / "evaluation/equity.csv").read_text("utf-8")


def test_a_complete_run_is_not_run_again(rsc: Rsc) -> None:
    assert rsc("run", "-c", "quick.yaml", "--run-id", "mine").code == 0
    run_dir = Path("runs/mine")
    before = files(run_dir)
    said = rsc("run", "--resume", "mine")
    assert said.code == 0
    assert unchanged(said) == list(STAGES)
    assert files(run_dir) == before
    # A threshold is a matter of the verdict, not of the training.
    said = rsc("run", "--resume", "mine", "--set", "deployment.thresholds.min_sharpe=1000")
    assert said.code == 0
    assert unchanged(said) == list(STAGES[:3])
    assert "checks failed: verdict " in said.out
    assert "(minimum 1,000.00)" in said.out
    after = files(run_dir)
    for name, state in before.items():
        if name.partition("/")[0] not in ("evaluation", "deployment"):
            assert after[name] == state, name
    for name in ("evaluation/metrics.json", "deployment/package/manifest.json"):
        assert after[name] != before[name]
    assert load_config(RunConfig, run_dir / "config.yaml").deployment.thresholds.min_sharpe == 1000
    # And of the learner: everything from the training on.
    said = rsc("run", "--resume", "mine", "--set", "strategy.hyperparameters.gamma=0.5")
    assert unchanged(said) == list(STAGES[:2])
    assert statuses(run_dir) == ["complete"] * 6


@pytest.mark.slow
def test_the_same_seed_leaves_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "quick.yaml").write_text(QUICK)
        done = script(folder, "-c", "quick.yaml", "--set", f"seed={seed}", "--run-id", name)
        assert done.returncode == 0, done.stderr
        found.append(hashes(folder / "runs" / name))
    one, two, other = found
    assert one == two
    assert all(one[name] != other[name] for name in one)


def test_other_features_on_the_same_bars_are_one_look_more(rsc: Rsc) -> None:
    """The policies of the run before decide again, on the features that they read."""
    for name, horizons in (("one", "[1, 20]"), ("two", "[1, 2, 20]"), ("three", "[5, 20]")):
        said = rsc(
            "run", "-c", "quick.yaml", "--run-id", name,
            "--set", "strategy={name: linear, horizon: 1}", "--set", "split={windows: 2}",
            "--set", f"features.columns=[{{name: returns, horizons: {horizons}}}]",
        )  # fmt: skip
        assert (said.code, said.errors) == (0, [])
    answer = Run.open("three").answer
    assert answer.looks == 3
    assert Run.open("one").answer.looks == 1


@pytest.mark.slow
def test_two_runs_in_one_store_at_once(tmp_path: Path) -> None:
    (tmp_path / "quick.yaml").write_text(QUICK)
    arguments = ["-c", "quick.yaml", "--set", "strategy.training.steps=500"]
    processes = [start_script(tmp_path, *arguments, "--set", f"seed={i}") for i in range(2)]
    for process in processes:
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 0, said
    runs = [p for p in (tmp_path / "runs").iterdir() if p.is_dir() and not p.is_symlink()]
    assert len(runs) == 2
    ledger = (tmp_path / "runs/looks.jsonl").read_text("utf-8").splitlines()
    assert sorted(json.loads(line)["run"] for line in ledger) == sorted(run.name for run in runs)
    assert sorted(manifest(run)["seed"] for run in runs) == [0, 1]
    for run in runs:
        assert statuses(run) == ["complete"] * 6
    assert (tmp_path / "runs/latest").resolve() in runs
    assert temporaries(tmp_path / "runs") == []


@pytest.mark.slow
def test_a_policy_that_passes_is_promoted_and_one_that_does_not_is_not(rsc: Rsc) -> None:
    said = rsc("run", "-c", "edge.yaml", "--run-id", "edge")
    assert said.code == 0
    assert "decision  Promoted. " in said.out
    link = Path("runs/promoted")
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve().parent == Path("runs/.promoted").resolve()
    promoted = hash_artifact(link)
    assert promoted == hash_artifact(Path("runs/edge/deployment/package"))
    assert load_package(link).positions == (-1.0, 0.0, 1.0)
    assert promotion_of("edge") == [True] * 4
    assert "Promoted. All four checks passed." in report("edge")

    # No edge, no promotion: a result, not an error; and what was promoted stays.
    said = rsc(
        "run", "-c", "quick.yaml", "--set", "strategy.training.steps=200", "--run-id", "walk"
    )
    assert said.code == 0
    assert "decision  Not promoted. " in said.out
    assert promotion_of("walk") == [False] * 4
    assert "Not promoted. " in report("walk")
    assert hash_artifact(link) == promoted

    # A run that passed and does not pass any more, by thresholds that were raised.
    raised = ["--set", "deployment.thresholds.min_sharpe=1000"]
    said = rsc("run", "--resume", "edge", *raised)
    assert said.code == 0
    assert unchanged(said) == list(STAGES[:3])
    assert promotion_of("edge") == [False] * 4
    assert "Not promoted. " in report("edge")
    assert not link.is_symlink()


def test_a_deployment_that_stops_leaves_no_package(rsc: Rsc) -> None:
    Path("late_broker.py").write_text(
        "from reinforcestrategycreator_pipeline.deployment.brokers.simulated import "
        "SimulatedBroker\n\n"
        "class Late(SimulatedBroker):\n"
        "    def submit(self, order):\n"
        "        pass\n"
    )
    quick = ("run", "-c", "quick.yaml", "--set", "strategy.training.steps=200")
    said = rsc(*quick, "--set", "deployment.broker=late_broker:Late", "--run-id", "late")
    assert said.code == 1
    [line] = said.errors
    assert "paper trading and backtest differ from bar" in line
    assert "np.float64" not in line
    assert not Path("runs/late/deployment").exists()
    said = rsc("run", "--resume", "late", "--set", "deployment.broker=simulated")
    assert said.code == 0
    assert sorted(p.name for p in Path("runs/late/deployment").iterdir()) == [
        "package",
        "paper_trading.json",
    ]


def report(run: str) -> str:
    return (Path("runs") / run / "evaluation/report.md").read_text(encoding="utf-8")


def promotion_of(run: str) -> list[bool]:
    """Return what each place says of the promotion: they confirm it on other splits."""
    run_dir = Path("runs") / run
    stages = manifest(run_dir)["stages"]
    metrics = json.loads((run_dir / "evaluation/metrics.json").read_text(encoding="utf-8"))
    package = json.loads((run_dir / "deployment/package/manifest.json").read_text(encoding="utf-8"))
    return [
        stages["evaluation"]["summary"]["promoted"],
        stages["deployment"]["summary"]["promoted"],
        metrics["decision"]["promoted"],
        package["promotion"]["promoted"],
    ]


def test_a_decision_on_bars_already_seen_names_the_first(rsc: Rsc) -> None:
    """Thresholds that are softened after the look: in report, manifest, card, `Run`, terminal."""
    nothing = "{evidence: null, min_sharpe: null, max_drawdown: null, min_trades: 0}"
    soft = ["--set", f"deployment.thresholds={nothing}"]
    assert rsc("run", "-c", "quick.yaml", "--run-id", "mine").code == 0
    assert Run.open("mine").verdict.first is None
    again = "Judged again on bars already seen, with other thresholds; the first decision was: not "

    def places(name: str) -> list[str]:
        folder = Path("runs") / name
        card = (folder / "deployment/package/MODEL_CARD.md").read_text("utf-8")
        page = (folder / "evaluation/report.html").read_text("utf-8")
        return [report(name), page, card, str(Run.open(name).verdict), rsc("report", name).out]

    assert all(again not in text for text in (*places("mine"), rsc("runs").out))
    # The run itself, and a new one of the same policy.
    for name, command in (
        ("mine", ["--resume", "mine"]),
        ("new", ["-c", "quick.yaml", "--run-id", "new"]),
    ):
        said = rsc("run", *command, *soft)
        assert (said.code, said.errors) == (0, [])
        assert all(f"{again}promoted (run mine)." in text for text in places(name))
        assert "The first decision (run mine): Not promoted. " in report(name)
        page = (Path("runs") / name / "evaluation/report.html").read_text("utf-8")
        assert ", on bars already seen: " in page
        assert "yes, on bars already seen" in rsc("runs").out
        first = Run.open(name).verdict.first
        assert (first.run, first.promoted, first.changed) == ("mine", False, ("other thresholds",))
        stored = manifest(Path("runs") / name)["stages"]["evaluation"]["summary"]
        assert stored["first_decision"]["sentence"] == first.sentence
        package = Path("runs") / name / "deployment/package/manifest.json"
        assert json.loads(package.read_text())["promotion"]["first"]["promoted"] is False
        assert promotion_of(name) == [True] * 4
    looks = Run.open("new").looks
    assert [(look.run, look.promoted) for look in looks] == [
        ("mine", False), ("mine", True), ("new", True)
    ]  # fmt: skip
    counted = "evaluated 3 times by 2 runs of this store, 2 of them with a promotion"
    assert all(counted in text for text in (report("new"), rsc("report", "mine").out))
    # Moved away from its store, it still knows.
    Path("elsewhere").mkdir()
    Path("runs/mine").rename("elsewhere/mine")
    harder = ["--set", "deployment.thresholds.min_sharpe=9"]
    assert again in rsc("run", "--resume", "elsewhere/mine", *harder).out


@pytest.mark.parametrize("before_ms", [1, 7, 333])
def test_bars_that_close_at_any_millisecond_run_through(rsc: Rsc, before_ms: int) -> None:
    """Regression: an index in float seconds lost the stamp, and evaluation ended in a KeyError."""
    hours = pd.date_range("2024-01-01", periods=400, freq="h", tz="UTC")
    stamps = (hours - pd.Timedelta(milliseconds=before_ms)).as_unit("ms")
    price = 50.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.004, 400)))
    bars = {"open": price, "high": price * 1.01, "low": price * 0.99, "close": price}
    frame = pd.DataFrame({**bars, "volume": 1.0})
    frame.insert(0, "timestamp", stamps.strftime("%Y-%m-%dT%H:%M:%S.%f").str[:-3] + "Z")
    frame.to_csv("prices.csv", index=False)
    params = 'path: prices.csv, symbol: B, calendar: "none", bar_stamp: close'
    source = f"data={{source: csv, params: {{{params}}}}}"
    said = rsc("run", "-c", "quick.yaml", "--set", source, "--run-id", "ms")
    assert (said.code, said.errors) == (0, [])
    equity = pd.read_csv("runs/ms/evaluation/equity.csv", parse_dates=["timestamp"])
    assert set(equity["timestamp"]) <= set(stamps.as_unit("ns"))
    # The test bars are the last fifth of those with features, whole and in order.
    own = equity[(equity["symbol"] == "B") & (equity["strategy"] == "DQN")]["timestamp"]
    assert list(own) == list(stamps[-len(own) :].as_unit("ns"))
