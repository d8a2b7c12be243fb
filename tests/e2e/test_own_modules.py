"""Modules of the user's: found beside the configuration, imported by a key, seen when changed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from small_runs import QUICK, Rsc, rsc_in

from reinforcestrategycreator_pipeline.backtesting.metrics.base import METRICS

METRIC = """
from reinforcestrategycreator_pipeline.backtesting.metrics.base import metric

@metric("own_metric", "Own", unit="ratio", group="Risk", higher_is_better=None)
def own_metric(performance):
    \"\"\"Return a constant.\"\"\"
    return 1.0
"""


@pytest.fixture
def rsc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Rsc:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "own_numbers.py").write_text(METRIC)
    (folder / "mine.yaml").write_text(QUICK + "imports: [own_numbers]\n")
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(METRICS, "_members", dict(METRICS._members))
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    yield rsc_in(tmp_path / "work", monkeypatch, capsys)
    sys.modules.pop("own_numbers", None)


def forget() -> None:
    """Be a new process, as far as the module goes."""
    sys.path[:] = [p for p in sys.path if not p.endswith("configs")]
    sys.modules.pop("own_numbers", None)
    METRICS._members.pop("own_metric", None)


def own(run: str) -> float:
    text = Path(f"runs/{run}/evaluation/metrics.json").read_text()
    found = json.dumps(json.loads(text)).partition('"own_metric": {"value": ')[2]
    return float(found.partition("}")[0].partition(",")[0])


def test_a_registered_metric_is_there_in_every_resumption(rsc: Rsc) -> None:
    said = rsc("run", "-c", "../configs/mine.yaml", "--trust", "../configs", "--run-id", "one")
    assert said.code == 0, said
    assert own("one") == 1.0
    forget()
    said = rsc("run", "--resume", "one")
    assert said.code == 0
    assert "[4/5] evaluation: unchanged" in said.err
    module = Path("../configs/own_numbers.py")
    module.write_text(METRIC.replace("1.0", "-22.0"))
    forget()
    said = rsc("run", "--resume", "one")
    assert said.code == 0
    assert "[3/5] training: unchanged" in said.err
    assert "[4/5] evaluation: running" in said.err
    assert own("one") == -22.0


def test_what_cannot_be_imported_says_where_it_was_looked_for(rsc: Rsc) -> None:
    said = rsc("config", "check", "-c", "../configs/mine.yaml")
    assert said.code == 2
    assert f"add --trust {Path('../configs').resolve()}" in said.err
    check = ("config", "check", "-c", "../configs/mine.yaml", "--trust", "../configs")
    said = rsc(*check, "--set", "imports=[own_nmbers]")
    assert said.code == 2
    assert "--set imports=[own_nmbers]: imports[0]: cannot import 'own_nmbers'" in said.err
    assert str(Path.cwd()) in said.err
    assert str(Path("../configs").resolve()) in said.err
    forget()
    Path("../configs/own_numbers.py").write_text("\n\n1 / 0\n")
    said = rsc(*check)
    assert said.code == 2
    expected = "importing 'own_numbers' raised ZeroDivisionError: division by zero"
    assert f"mine.yaml:{len(QUICK.splitlines()) + 1}: imports[0]: {expected}" in said.err
    assert "(own_numbers.py:3)" in said.err
