"""The table of the verdict's levels belongs to the code that decides."""

import json
from pathlib import Path

from benchmarks import calibration_table
from benchmarks.calibration_table import DECIDES, code_sha256
from scipy.stats import binomtest

from reinforcestrategycreator_pipeline.verdict.answer import STRONG, WEAK
from reinforcestrategycreator_pipeline.verdict.calibration import CALIBRATION

ROOT = Path(__file__).parents[2]


def test_the_table_is_of_this_code():
    """If this fails, the rule has changed: run ``python -m benchmarks.calibration`` again."""
    assert CALIBRATION.code_sha256 == code_sha256()


def test_the_table_is_that_of_the_markets():
    kept = json.loads((ROOT / "benchmarks" / "calibration.json").read_text())
    levels = [x["level"] for x in kept["lines"] if x["name"].startswith("null/")]
    strong = levels.count("strong")
    assert (STRONG, WEAK) == (0.05, 0.15)
    assert CALIBRATION.markets == len(levels) >= 420
    assert CALIBRATION.false_strong == strong / len(levels) <= 0.05
    high = binomtest(strong, len(levels)).proportion_ci(0.95, "exact").high
    assert CALIBRATION.false_strong_high == high <= 0.08
    assert f"{strong / len(levels):.1%} strong (95% interval up to" in str(CALIBRATION)


def test_what_the_code_does_counts_and_not_how_it_is_written(monkeypatch, tmp_path):
    root = calibration_table.ROOT
    for module in DECIDES:
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / f"{module}.py").write_text((root / f"{module}.py").read_text())
    monkeypatch.setattr(calibration_table, "ROOT", tmp_path)
    before = code_sha256()
    assert before == CALIBRATION.code_sha256
    chance = tmp_path / "verdict" / "chance.py"
    text = chance.read_text()
    chance.write_text("# A comment.\n" + text.replace("Largest number of orders", "Most orders"))
    assert code_sha256() == before
    chance.write_text(text.replace("DRAWS = 500", "DRAWS = 400"))
    assert code_sha256() != before
