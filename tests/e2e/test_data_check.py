"""``rsc data check`` accepts what ``rsc run`` accepts; the examples of every help page work."""

from __future__ import annotations

import itertools
import re
import shlex
import sqlite3
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from fake_vendor import history
from small_runs import QUICK, Rsc, rsc_in
from vendor_server import FakeTime, Reply, Vendor, serving

import reinforcestrategycreator_pipeline as package
from reinforcestrategycreator_pipeline.api import audits
from reinforcestrategycreator_pipeline.cli import data_vendors
from reinforcestrategycreator_pipeline.cli.app import app
from reinforcestrategycreator_pipeline.market.vendors import fetching, stooq
from reinforcestrategycreator_pipeline.pipeline.auditing.outcome import AuditOutcome
from reinforcestrategycreator_pipeline.pipeline.runner import Runner

HEADER = "date,open,high,low,close,volume"
QUICKLY = QUICK.split("\n", 1)[1]  # without its data


@pytest.fixture
def rsc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Rsc:
    return rsc_in(tmp_path, monkeypatch, capsys)


def rows(count: int, start: str = "2020-01-01", symbol: str = "") -> list[str]:
    days = pd.bdate_range(start, periods=count)
    prices = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.01, count)))
    return [
        f"{day:%Y-%m-%d},{p:.4f},{1.01 * p:.4f},{0.99 * p:.4f},{p:.4f},{100 + i}{symbol}"
        for i, (day, p) in enumerate(zip(days, prices, strict=True))
    ]


CASES: dict[str, tuple[list[str], str]] = {
    "enough": (rows(60), ""),
    "too few": (rows(12), ""),
    "just enough": (rows(22), ""),
    "one too few": (rows(21), ""),
    "a symbol that is too short": ([*rows(60, symbol=",A"), *rows(9, symbol=",B")], ""),
    "left out": ([*rows(60, symbol=",A"), *rows(9, symbol=",B")], "symbols: [A]"),
    "an embargo too long": (rows(60), "split: {embargo_bars: 30}"),
    "a test span too late": (rows(60), "split: {test_start: 2024-01-01}"),
    "a feature that is not there": (
        rows(60),
        "features: {columns: [{name: column, columns: [x]}]}",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_check_accepts_what_a_run_accepts(rsc: Rsc, case: str) -> None:
    lines, setting = CASES[case]
    header = HEADER + ",symbol" * (lines[0].count(",") > HEADER.count(","))
    Path("prices.csv").write_text("\n".join([header, *lines]) + "\n")
    section, quick = "", QUICKLY
    if setting.startswith("symbols"):
        section, setting = f", {setting}", ""
    if setting.startswith("features"):
        quick = "\n".join(QUICKLY.split("\n")[1:])
    data = f"data: {{source: csv, params: {{path: prices.csv{section}}}}}\n"
    Path("mine.yaml").write_text(f"{data}{quick}{setting}\n")
    checked = rsc("data", "check", "--config", "mine.yaml")
    ran = rsc("run", "--config", "mine.yaml")
    assert checked.code == ran.code
    assert checked.errors == [line for line in ran.errors if line.startswith("error: ")]
    fine = ("enough", "just enough", "left out", "a symbol that is too short")
    assert (checked.code == 0) == (case in fine)
    if case == "a symbol that is too short":
        said = "1 of 2 symbols have too few bars and are left out: B (9); the features' lookback"
        assert f"note: {said}" in checked.out
        assert f"Note: {said}" in ran.err


def test_what_is_guessed_is_said_by_check_run_and_python(rsc: Rsc) -> None:
    lines = [line.replace(",", " 09:30,", 1) for line in rows(60)]
    Path("prices.csv").write_text("\n".join([HEADER, *lines, lines[-1]]) + "\n")
    data = "data: {source: csv, params: {path: prices.csv}}\n"
    Path("mine.yaml").write_text(data + QUICKLY)
    warnings = (
        "prices.csv: every date, such as 09:30, is read as the open of its bar, which closes a "
        "day later (bar_stamp: close); session_close: HH:MM states the close.",
        "prices.csv: prices: 1 identical duplicate row was dropped.",
    )
    checked = rsc("data", "check", "--config", "mine.yaml").out
    said = rsc("run", "--config", "mine.yaml", "--run-id", "mine")
    assert said.code == 0
    found = package.Run.open("mine")
    for warning in warnings:
        assert f"warning: {warning}\n" in checked
        assert f"warning: {warning}\n" in said.err
        assert warning in found.notes
    assert found.bars.warnings == warnings


def test_parameters_and_keys_beside_a_configuration(rsc: Rsc) -> None:
    Path("prices.csv").write_text("\n".join([HEADER, *rows(60)]) + "\n")
    Path("other.csv").write_text("\n".join([HEADER, *rows(12)]) + "\n")
    data = "data: {source: csv, params: {path: prices.csv, timezone: Asia/Tokyo}}\n"
    Path("mine.yaml").write_text(data + QUICKLY)
    assert "2020-01-01 15:00" in rsc("data", "check", "-c", "mine.yaml").out
    later = rsc("data", "check", "-c", "mine.yaml", "-s", "session_close=15:30").out
    assert "2020-01-01 06:30" in later
    few = rsc("data", "check", "other.csv", "-c", "mine.yaml")
    assert (few.code, "22 bars are needed. Got 12" in few.err) == (1, True)
    assert "2019-12-31 15:00" not in few.out
    key = rsc("data", "check", "other.csv", "-c", "mine.yaml", "-s", "split.embargo_bars=0")
    assert key.code == 0
    nothing = rsc("data", "check")  # the default source
    assert (nothing.code, "sample: can be used" in nothing.out) == (0, True)


def test_a_source_of_the_configuration(rsc: Rsc) -> None:
    Path("mine.yaml").write_text(QUICK)
    said = rsc("data", "check", "-c", "mine.yaml", "-s", "n_bars=250")
    assert (said.code, "250" in said.out) == (0, True)
    assert said.out.endswith("mine.yaml: can be used\n")


# --- the examples of the help pages ---------------------------------------------------------------


def commands(command: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
    """Return every command with its example lines."""
    found = []
    lines = re.findall(r"^ *(rsc .*)$", command.epilog or "", re.MULTILINE)
    found += [(path, line) for line in lines]
    for name, inner in getattr(command, "commands", {}).items():
        found += commands(inner, (*path, name))
    return found


EXAMPLES = sorted(
    set(itertools.chain(line for _, line in commands(typer.main.get_command(app), ())))
)
SOURCE = """
import sqlite3
from dataclasses import dataclass

import pandas as pd

from reinforcestrategycreator_pipeline.market.preparation import prepare
from reinforcestrategycreator_pipeline.market.validation import RawBars


@dataclass(frozen=True)
class SqliteBars:
    path: str

    def load(self, rng):
        table = pd.read_sql("SELECT * FROM bars", sqlite3.connect(self.path))
        table.index = pd.DatetimeIndex(pd.to_datetime(table.pop("date"), utc=True))
        return prepare([RawBars("X", self.path, table.astype("float64"))], {"source": "sqlite"})
"""


GAP = """
import numpy as np

from reinforcestrategycreator_pipeline import feature


@feature
def overnight_gap(bars):
    gap = np.log(bars["open"][1:] / bars["close"][:-1])
    return np.concatenate([[np.nan], gap])
"""


@pytest.fixture
def a_folder_to_try_examples(rsc: Rsc, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rsc]:
    """A folder with the files that the examples name, and a vendor; runs are only begun."""
    table = pd.DataFrame([line.split(",") for line in rows(700)], columns=HEADER.split(","))
    with sqlite3.connect("bars.db") as database:
        table.to_sql("bars", database, index=False)
    database.close()
    Path("my_source.py").write_text(SOURCE)
    Path("my_features.py").write_text(GAP)
    table.to_csv("prices.csv", index=False)
    table["date"] = [f"{day[8:]}/{day[5:7]}/{day[:4]}" for day in table["date"]]
    table.to_csv("european.csv", index=False, sep=";")
    data = "data: {source: csv, params: {path: prices.csv}}\n"
    Path("my.yaml").write_text(data + QUICKLY)
    search = "search: {trials: 1, folds: 1, space: {strategy.training.steps: [20, 30]}}\n"
    Path("search.yaml").write_text(data + QUICKLY + search)
    for name in ("20261122-183000-a1b2c3", "first", "second", "third"):
        assert rsc("run", "-c", "my.yaml", "--run-id", name).code == 0

    def begun(self: Runner, *arguments: Any) -> None:
        raise SystemExit(0)

    monkeypatch.setattr(Runner, "start", begun)
    monkeypatch.setattr(Runner, "resume", begun)
    monkeypatch.setattr(webbrowser, "open", lambda url: True)
    monkeypatch.setattr(audits, "audit_config", lambda *_, **__: AuditOutcome((), ()))
    prices = history(80).rename_axis("Date").rename(columns=str.title).to_csv().encode()
    with serving(Vendor(lambda asked: Reply(prices))) as server:
        monkeypatch.setattr(stooq.Stooq, "wire", lambda self: server.wire)
        monkeypatch.setattr(fetching, "Time", lambda: FakeTime().clocks())
        monkeypatch.setattr(data_vendors, "_now", lambda: pd.Timestamp("2024-03-22", tz="UTC"))
        yield rsc


def test_every_example_of_every_help_page(a_folder_to_try_examples: Rsc) -> None:
    assert len(EXAMPLES) > 15
    for example in EXAMPLES:
        words = shlex.split(example)[1:]
        if "%" in example:
            words = [word.replace("prices.csv", "european.csv") for word in words]
        if words[0] == "tune":
            words = [word.replace("my.yaml", "search.yaml") for word in words]
        if ">" in words:
            words = words[: words.index(">")]
        said = a_folder_to_try_examples(*words)
        assert (example, said.code, said.errors) == (example, 0, [])


def test_a_format_that_is_no_yaml_in_a_file(rsc: Rsc) -> None:
    Path("mine.yaml").write_text(
        "data:\n  source: csv\n  params: {path: prices.csv, date_format: %d/%m/%Y}\n"
    )
    said = rsc("config", "check", "-c", "mine.yaml")
    assert said.code == 2
    assert "mine.yaml:3: " in said.err
    assert "quotation marks" in said.err
