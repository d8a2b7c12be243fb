"""``rsc config check`` calls what the configuration names, and says what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from small_runs import Rsc, rsc_in

CODE = """
import numpy as np
from reinforcestrategycreator_pipeline import broker, feature, loss, reward
from dataclasses import dataclass

class Sharpe:
    mean = 0.0
    def __call__(self, growth):
        out = np.empty(growth.size)
        for i, g in enumerate(growth.reshape(-1)):
            self.mean = out[i] = 0.9 * self.mean + 0.1 * g
        return out.reshape(growth.shape)

differential_sharpe = reward(Sharpe())

@reward
def cumulated(growth): return np.cumsum(growth.reshape(-1)).reshape(growth.shape)
@reward
def short(growth): return growth[1:]
@reward
def averse(growth, *, by=2.0): return np.log(growth) - by * (growth - 1) ** 2
@loss
def one_argument(error): return error * error, 2 * error
@loss
def wrong_slope(error, delta): return error * error, -2 * error
@loss
def log_cosh(error, delta): return np.log(np.cosh(error)), np.tanh(error)
@feature
def misspelt(bars):
    return bars["close"].cumsm()
@feature
def mood(bars): return bars["mood"]
@broker
def no_broker(market): return 3

@dataclass(frozen=True)
class Unfit:
    def fit(self, train, validation, work):
        return train.asset

class NoDataclass:
    def fit(self, train, validation, work): ...
"""


@pytest.fixture
def rsc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Rsc:
    (tmp_path / "checked_parts.py").write_text(CODE)
    yield rsc_in(tmp_path, monkeypatch, capsys)
    sys.modules.pop("checked_parts", None)


LOSS, REWARD = "strategy.hyperparameters.loss", "trading.reward"


def of_one_dqn(setting: str) -> list[str]:
    """Return the options that name the strategy whose key is set, if it is not the default."""
    return ["--set", "strategy.name=dqn"] if setting.startswith("strategy.hyper") else []


WRONG = [
    (f"{REWARD}=checked_parts:differential_sharpe", "must depend on each growth alone"),
    (f"{REWARD}=checked_parts:cumulated", "must depend on each growth alone"),
    (f"{REWARD}=checked_parts:short", "Got shape (11,) instead"),
    (f"{REWARD}={{name: 'checked_parts:averse', bye: 1}}", "unknown key. Did you mean 'by'?"),
    (f"{LOSS}=checked_parts:one_argument", "takes 1 positional argument but 2 were given"),
    (f"{LOSS}=checked_parts:wrong_slope", "Got 4.6 at an error of -2.3, where the slope of"),
    ("strategy.hyperparameters.head=checked_parts:Unfit", "is not a head: it lacks values, loss"),
    (
        "features.columns=[rsi, 'checked_parts:misspelt']",
        "columns[1]: feature 'checked_parts:misspelt' raised",
    ),
    ("features.columns=['checked_parts:misspelt']", "(checked_parts.py:30)"),
    ("strategy=checked_parts:Unfit", "the strategy 'checked_parts:Unfit' raised AttributeError"),
    ("strategy=checked_parts:NoDataclass", "strategy: must be a frozen dataclass"),
    (
        "deployment.broker=checked_parts:no_broker",
        "returned an object of type int, which lacks submit, poll",
    ),
]


@pytest.mark.parametrize(("setting", "said"), WRONG, ids=[s for s, _ in WRONG])
def test_what_is_wrong_is_said_in_a_line(rsc: Rsc, setting: str, said: str) -> None:
    result = rsc("config", "check", *of_one_dqn(setting), "--set", setting)
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert said in result.err


@pytest.mark.parametrize(
    "setting",
    [
        f"{REWARD}={{name: 'checked_parts:averse', by: 1}}",
        f"{LOSS}=checked_parts:log_cosh",
        "features.columns=[{name: column, columns: [rate]}, 'checked_parts:mood']",
        *[f"strategy={name}" for name in ("linear", "constant", "flat", "buy_and_hold")],
        *[f"strategy.hyperparameters.head={name}" for name in ("c51", "qr")],
    ],
)
def test_what_is_right_is_valid(rsc: Rsc, setting: str) -> None:
    result = rsc("config", "check", *of_one_dqn(setting), "--set", setting)
    assert (result.code, result.err) == (0, "")
    assert result.out == "the default configuration: valid\n"


def test_a_missing_data_file_is_reported(rsc: Rsc) -> None:
    here = Path.cwd()
    (here / "prices.csv").write_text("not read\n")
    (here / "empty").mkdir()
    data = "data={source: csv, params: {path: PATH}}"
    said = {
        "price.csv": "data.params.path: price.csv: no such file. Did you mean 'prices.csv'?",
        "other.csv": f"no such file. A relative path starts at the current folder, {here}",
        "no/p.csv": "data.params.path: no/p.csv: no such file. There is no folder 'no'.",
        "empty": "data.params.path: empty: the folder contains no .csv",
    }
    for path, text in said.items():
        result = rsc("config", "check", "--set", data.replace("PATH", path))
        assert result.code == 2
        assert result.err.count("\n") == 1
        assert text in result.err
    assert rsc("config", "check", "--set", data.replace("PATH", "prices.csv")).code == 0
