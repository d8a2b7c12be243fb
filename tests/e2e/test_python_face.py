"""``rsc.run`` and ``rsc.Run``: the command's job by import, offline."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import reinforcestrategycreator_pipeline as rsc
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, RunError
from reinforcestrategycreator_pipeline.market.sources import frames

QUICK = {
    "data": {"source": "synthetic", "params": {"n_bars": 500}},
    "strategy": {
        "name": "dqn",
        "training": {"steps": 100, "validation_interval": 50, "fallback": False},
    },
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(store):
    return rsc.run(QUICK, seed=3, store=store, run_id="first")


def test_what_a_run_shows(run, store):
    assert str(run.verdict).startswith(("Promoted", "Not promoted"))
    assert repr(run) == f"Run('first': {run.verdict})"
    assert run.equity.columns[0] == run.strategy == "DQN"
    assert run.equity.iloc[0, 0] == 100_000
    total = run.equity["DQN"].iloc[-1] / 100_000 - 1
    assert run.metrics.loc["total_return", "DQN"] == pytest.approx(total)
    assert run.history["step"].tolist() == [100]
    assert len(run.trades) == run.metrics.loc["trades", "DQN"]
    assert run.config["seed"] == 3
    assert run.bars.symbols == ("SYN",)
    assert run.report_path.is_file()
    assert run.package_path.is_dir()
    n = len(run.policy.inputs.names)
    assert run.policy.decide(np.zeros(n), 0) in (0, 1)
    assert repr(run.policy).startswith("QPolicy(")
    assert len(repr(run.policy)) < 200
    page = run._repr_html_()
    assert str(run.verdict).replace("'", "&#x27;")[:40] in page
    assert "<polyline" in page
    assert rsc.report(run).caveat in run.report_path.read_text(encoding="utf-8")


def test_the_command_and_the_function_write_the_same_bytes(run, store, tmp_path):
    options = [
        f"--set={k}" for k in ("seed=3", "data.source=synthetic", "data.params={n_bars: 500}")
    ]
    options += ["--set=strategy.name=dqn"]
    options += ["--set=strategy.training={steps: 100, validation_interval: 50, fallback: false}"]
    command = [sys.executable, "-m", rsc.__name__, "run", *options, "--run-id=other"]
    subprocess.run([*command, f"--runs-dir={tmp_path}"], check=True, capture_output=True)
    # In a process of its own, too: this one has loaded NumPy before it could choose a kernel.
    code = f"import {rsc.__name__} as rsc; rsc.run({QUICK}, seed=3, store={str(tmp_path)!r}"
    code += ", run_id='function')"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    for name in ("config.yaml", "training/policy.safetensors", "evaluation/equity.csv"):
        found = [(tmp_path / folder / name).read_bytes() for folder in ("other", "function")]
        assert found[0] == found[1], name


def test_a_run_of_the_past(run, store, monkeypatch):
    for name in ("latest", "first", store / "first"):
        assert rsc.Run.open(name, store).id == "first"
    monkeypatch.chdir(store.parent)
    assert rsc.Run.open(f"{store.name}/latest").id == "first"
    with pytest.raises(RunError, match=r"Did you mean|Valid names"):
        rsc.Run.open("frist", store)


def test_it_goes_on_where_nothing_changed(run, store):
    again = rsc.run(resume="first", store=store)
    assert len(again.unchanged) == 5
    with pytest.raises(RunError, match="does not go with resume"):
        rsc.run(QUICK, resume="first", store=store)


def test_bars_in_memory(store):
    bars = dict(rsc.read_bars(source="synthetic", n_bars=500))
    held = rsc.run({"strategy": QUICK["strategy"]}, bars=bars, store=store, run_id="held")
    pd.testing.assert_frame_equal(held.bars["SYN"], bars["SYN"], check_freq=False)
    assert rsc.run(resume="held", store=store, seed=4).unchanged == ()
    frames._HELD.clear()  # as in another process
    assert "deployment" in rsc.run(resume="held", store=store).unchanged
    with pytest.raises(DataError, match=r"not in memory any more\. Pass them again"):
        rsc.run(resume="held", store=store, seed=5)
    rsc.run(resume="held", store=store, bars=bars)


def test_objects_and_overrides(store):
    config = {"data": QUICK["data"], "strategy": rsc.strategies.Linear(alpha=0.1)}
    found = rsc.run(config, overrides={"evaluation.random_draws": 11}, store=store)
    assert found.strategy == "linear"
    assert found.config["strategy"]["alpha"] == 0.1
    assert found.config["evaluation"]["random_draws"] == 11
    whole = rsc.run(rsc.RunConfig(strategy=rsc.strategies.Linear()), seed=1, store=store)
    assert whole.config["seed"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"config": {"sed": 3}}, "the configuration: sed: unknown key. Did you mean 'seed'"),
        ({"seed": -1}, r"the argument seed: seed: must be an integer in \[0, \d+\]\. Got -1"),
        ({"overrides": "seed=x"}, "--set seed=x: seed: must be an integer"),
        ({"overrides": {"strategy.trainin": 1}}, "Did you mean 'training'"),
        ({"overrides": ["seed"]}, "must have the form dotted.key=value"),
        ({"config": "no.yaml"}, "no.yaml: no such file"),
    ],
)
def test_wrong_calls(arguments, message, store):
    with pytest.raises(ConfigError, match=message):
        rsc.run(**arguments, store=store)


def test_it_is_silent_where_nobody_watches(store, capfd):
    rsc.run(QUICK, store=store)
    assert capfd.readouterr() == ("", "")
    rsc.run(QUICK, store=store, progress=True)
    assert "[5/5] deployment: done" in capfd.readouterr().err


def test_a_run_that_has_not_ended(store):
    folder = store / "broken"
    broken = {**QUICK, "data": {"source": "synthetic", "params": {"n_bars": 250}}}
    with pytest.raises(DataError):
        rsc.run(broken, store=store, run_id="broken")
    run = rsc.Run.open(folder)
    assert repr(run) == "Run('broken', failed)"
    with pytest.raises(
        RunError, match=r"no stage has completed it; the run is failed\. Continue it"
    ):
        _ = run.verdict


def test_the_starter_file_runs_and_runs_are_listed(tmp_path):
    def command(*arguments):
        line = [sys.executable, "-m", rsc.__name__, *arguments]
        return subprocess.run(
            line, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "COLUMNS": "150"}
        )

    assert command("init").stdout == "rsc.yaml is written. Run it with: rsc run --config rsc.yaml\n"
    assert "exists already" in command("init").stderr
    assert command("config", "check", "--config", "rsc.yaml").returncode == 0
    few = ["--set=strategy.training={screening_steps: 100, steps: 100}", "--set=split.windows=2"]
    made = command("run", "-c", "rsc.yaml", *few, "--run-id=mine")
    assert made.returncode == 0, made.stderr
    shown = command("runs").stdout
    assert shown.splitlines()[0].split()[0::2][:2] == ["run", "status"]
    assert "mine" in shown
    assert "complete" in shown
    missing = ["--set=data={source: csv, params: {path: none.csv}}", "--run-id=later"]
    assert command("run", *missing).returncode == 1
    shown = command("runs").stdout
    assert shown.index("mine") < shown.index("later")  # by time, not by name
    assert "no runs in empty" in command("runs", "--runs-dir", "empty").stdout
