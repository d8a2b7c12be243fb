"""``rsc audit`` over files: what it prints, writes, and ends with."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.cli.entry import run_app
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars

FEATURES = """\
import numpy as np
from reinforcestrategycreator_pipeline import feature

@feature
def body(bars):
    return bars["close"] / bars["open"] - 1.0

@feature
def sees_one_bar(bars):
    out = body(bars)
    if len(out) > 62:
        out[61] = out[62]
    return out
"""
BARS = 160


@pytest.fixture
def rsc(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    frame = make_bars(BARS, seed=2).drop(columns="rate")
    # A side column that was merged from the next row.
    frame["sentiment"] = np.append(frame["close"].pct_change().to_numpy()[1:], 0.0)
    frame.to_csv("prices.csv")
    Path("audited_features.py").write_text(FEATURES)

    def run(*arguments: str):
        sys.modules.pop("audited_features", None)
        monkeypatch.setattr(sys, "argv", ["rsc", "audit", *arguments])
        code = run_app()
        return code, *capsys.readouterr()

    return run


DATA = ("--set", "data.source=csv", "--set", "data.params={path: prices.csv, symbol: ACME}")


def test_findings_are_lines_with_bar_and_values_and_the_exit_code_is_1(rsc):
    names = ("-f", "audited_features:body", "-f", "audited_features:sees_one_bar")
    code, out, err = rsc(*DATA, *names, "--workers", "1", "--json", "audit.json")
    assert (code, err) == (1, "")
    found = json.loads(Path("audit.json").read_text())
    assert found["passed"] is found["proved"] is False
    faults = {(f["subject"], f["check"]): f for f in found["findings"]}
    leak = faults["feature audited_features:sees_one_bar", "truncation"]
    assert (leak["symbol"], leak["column"], leak["row"], leak["cut"]) == (
        "ACME", "sees_one_bar", 61, 61,
    )  # fmt: skip
    bars = make_bars(BARS, seed=2)
    body = (bars["close"] / bars["open"] - 1.0).to_numpy()
    assert (leak["before"], leak["after"]) == (body[62], body[61])
    assert leak["time"] == "2001-03-05T21:00:00+00:00"  # a day after the stamp, which is the open
    assert faults["side data", "foresight"]["column"] == "sentiment"
    assert not any(subject.endswith(":body") for subject, _ in faults)
    counted = {(c["subject"], c["check"]): c for c in found["checks"]}
    proof = counted["feature audited_features:body", "truncation"]
    assert (proof["tried"], proof["possible"]) == (BARS - 1, BARS - 1)
    lines = [line for line in out.splitlines() if line.startswith("finding ")]
    assert len(lines) == len(found["findings"])
    values = f"{body[62]:.10g} became {body[61]:.10g}."
    told = "its row 61 changes with bars after 61 (truncation, 1 changes in all)"
    assert any(f"{told} at {leak['time']}: {values}" in line for line in lines)


def test_what_is_sound_is_proved_and_what_is_wrong_is_refused(rsc):
    code, out, _ = rsc(*DATA, "-f", "returns", "--workers", "1", "--cuts", "5")
    assert code == 1  # the side column
    assert "5 of 99" in out
    code, out, err = rsc(*DATA, "-f", "audited_features:bodi")
    assert code == 2
    assert "Did you mean 'body'?" in err
    assert rsc(*DATA, "--cuts", "0")[0] == 2
