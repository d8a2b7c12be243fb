"""What needs an extra says so in one line; what needs none works without any."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.experiments.engines.ray_engine import Ray
from reinforcestrategycreator_pipeline.experiments.jobs import Listener
from reinforcestrategycreator_pipeline.experiments.proposals import require_optuna
from reinforcestrategycreator_pipeline.features import talib_function
from reinforcestrategycreator_pipeline.market.vendors.base import Request
from reinforcestrategycreator_pipeline.market.vendors.catalog import VENDORS
from reinforcestrategycreator_pipeline.market.vendors.interval import Interval
from reinforcestrategycreator_pipeline.models.gym.collectors import task_of
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.testing.engine_contract import TrainingJob
from reinforcestrategycreator_pipeline.tracking.catalog import TRACKERS

ROOT = Path(__file__).parents[3]
INSTALL = r'pip install "reinforcestrategycreator-pipeline\[{}\]" \(.+\)\.$'


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let an import of the package, or of a module of it, fail as if it were not installed."""
    for name in [package, *(m for m in sys.modules if m.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)


def test_the_talib_feature(monkeypatch):
    hide(monkeypatch, "talib")
    talib_function._info.cache_clear()
    rule = "^the feature talib needs an extra that is not installed: " + INSTALL.format("talib")
    with pytest.raises(ConfigError, match=rule):
        talib_function.TalibFunction("ADX")


def test_learning_on_a_gymnasium_task(monkeypatch):
    hide(monkeypatch, "gymnasium")
    rule = "^DQN.learn needs an extra that is not installed: " + INSTALL.format("gym")
    with pytest.raises(ConfigError, match=rule):
        task_of(object())
    with pytest.raises(ConfigError, match=rule):
        DQN({}).learn(object(), 10)


def test_the_trading_environment(monkeypatch):
    hide(monkeypatch, "gymnasium")
    module = "reinforcestrategycreator_pipeline.envs.trading_env"
    monkeypatch.delitem(sys.modules, module, raising=False)
    rule = "^TradingEnv needs an extra that is not installed: " + INSTALL.format("gym")
    with pytest.raises(ConfigError, match=rule):
        importlib.import_module(module)


def test_a_search(monkeypatch):
    hide(monkeypatch, "optuna")
    rule = "^a search needs an extra that is not installed: " + INSTALL.format("search")
    with pytest.raises(ConfigError, match=rule):
        require_optuna()


def test_the_engine_ray(monkeypatch, tmp_path):
    hide(monkeypatch, "ray")
    rule = "^the engine 'ray' needs an extra that is not installed: " + INSTALL.format(
        "distributed"
    )
    with pytest.raises(ConfigError, match=rule):
        Ray().run([TrainingJob("a", tmp_path)], Listener())
    Ray().run([], Listener())  # there is nothing to do


@pytest.mark.parametrize(
    ("name", "library", "extra"),
    [("mlflow", "mlflow", "tracking"), ("tensorboard", "tensorboardX", "tensorboard")],
)
def test_trackers(monkeypatch, tmp_path, name, library, extra):
    hide(monkeypatch, library)
    rule = f"^the tracker '{name}' needs an extra that is not installed: " + INSTALL.format(extra)
    with pytest.raises(ConfigError, match=rule):
        TRACKERS.build(name).log(tmp_path)


@pytest.mark.parametrize(
    ("name", "library", "parameters"),
    [
        ("alpaca", "alpaca", {}),
        ("ccxt", "ccxt", {}),
        ("duckdb", "duckdb", {"files": "*.parquet"}),
        ("massive", "massive", {}),
        ("sql", "sqlalchemy", {"url": "sqlite://"}),
        ("yfinance", "yfinance", {}),
    ],
)
def test_vendors(monkeypatch, name, library, parameters):
    hide(monkeypatch, library)
    for key in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "MASSIVE_API_KEY"):
        monkeypatch.setenv(key, "x")
    start, end = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-02-01", tz="UTC")
    request = Request("IBM", Interval.parse("1d"), start, end)
    rule = f"^the vendor '{name}' needs an extra that is not installed: " + INSTALL.format(name)
    with pytest.raises(ConfigError, match=rule):
        VENDORS.get(name)(**parameters).bars(request, None)


def test_every_extra_that_a_message_names_exists():
    source = ROOT / "src" / "reinforcestrategycreator_pipeline"
    named = {
        extra
        for path in source.rglob("*.py")
        for extra in re.findall(r'\bneeds\("([^"]+)"', path.read_text("utf-8"))
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    every = {"distributed", "gym", "onnx", "search", "talib", "tensorboard", "tracking"}
    every |= {"alpaca", "ccxt", "duckdb", "massive", "sql", "yfinance"}
    assert named == every
    assert named <= set(project["optional-dependencies"])


CONFIG = """\
data: {source: synthetic, params: {n_bars: 300}}
strategy: {name: dqn, training: {steps: 20, trajectories: 8, validation_interval: 10}}
evaluation: {random_draws: 11}
"""


def test_a_run_and_every_listing_need_no_extra(tmp_path):
    (tmp_path / "small.yaml").write_text(CONFIG)
    extras = ["gymnasium", "mlflow", "onnx", "optuna", "ray", "talib", "tensorboardX"]
    hidden = f"dict.fromkeys({extras})"
    program = (
        f"import sys; sys.modules.update({hidden})\n"
        "from reinforcestrategycreator_pipeline.cli import main\nsys.exit(main())"
    )
    for arguments in (["run", "-c", "small.yaml"], ["list"], ["config", "schema"]):
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    (tmp_path / "talib.yaml").write_text(
        CONFIG + "features: {columns: [{name: talib, function: ADX}]}\n"
    )
    command = [sys.executable, "-c", program, "run", "-c", "talib.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert 'pip install "reinforcestrategycreator-pipeline[talib]"' in done.stderr
