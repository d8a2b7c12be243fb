import re

import numpy as np
from deployment_cases import written

from reinforcestrategycreator_pipeline.backtest.metrics.catalog import MetricValue
from reinforcestrategycreator_pipeline.report.model_card import compose_model_card
from reinforcestrategycreator_pipeline.verdict.decision import Check

PASSED = Check("Trades", "at least 10", "25", True)
FAILED = Check("Sharpe ratio", "at least 0.50", "0.31", False)


def card(**changes):
    given = {
        "run_id": "2024-run",
        "seed": 7,
        "version": "0.1.0",
        "data": "Daily bars, public domain",
        "symbols": ("AAPL", "IBM"),
        "spans": {"train": ("2000-03-01", "2008-01-02"), "test": ("2010-08-02", "2013-03-01")},
        "positions": (-1.0, 0.0, 0.5),
        "feature_names": ("return_1", "rsi_14", "x"),
        "lookback": 240,
        "network": "20 inputs, head c51",
        "costs": {"commission_bps": 1.0},
        "metrics": {
            "DQN": {"sharpe": MetricValue(0.31), "max_drawdown": MetricValue(None, "no bars")},
            "buy and hold": {"sharpe": MetricValue(0.8)},
        },
        "checks": [PASSED, FAILED],
    }
    return compose_model_card(**{**given, **changes})


def test_a_card_says_what_one_must_know():
    text = card()
    assert "**Not promoted**: Sharpe ratio is 0.31 and must be at least 0.50." in text
    assert "| Sharpe ratio | 0.31 | 0.80 |" in text
    assert "| Max drawdown | — (no bars) | — (not computed) |" in text
    assert "| Trades | at least 10 | 25 | yes |" in text
    assert "negative is short): -1, 0, 0.5" in text
    assert "- test: 2010-08-02 to 2013-03-01" in text
    assert "- Policy: 20 inputs, head c51\n" in text
    assert "Seed 7, version 0.1.0" in text
    assert text == card()


def test_a_card_says_promoted_only_if_every_check_passed():
    assert "**Promoted**: it meets every condition below." in card(checks=[PASSED])
    assert "**Promoted**: no condition was set." in card(checks=[])
    assert "**Promoted**" not in card()


def test_names_from_outside_cannot_change_the_card():
    evil = "<script>alert(1)</script> | x\n# Promoted **yes** `a` [b](c)"
    text = card(run_id=evil, symbols=(evil,), feature_names=(evil,), data=evil, network=evil)
    assert "<script>" not in re.sub(r"\\.", "", text)
    assert "\n# Promoted" not in text
    assert "**yes**" not in text
    assert [line for line in text.splitlines() if line.startswith("# ")] == text.splitlines()[:1]


def test_the_five_lines_of_the_card_work(tmp_path):
    code = re.search(r"```python\n(.*?)```", card(), re.DOTALL).group(1)
    assert len(code.splitlines()) == 5
    written(tmp_path / "package")
    names = {"raw_features": np.array([0.1, 0.2, 0.3])}
    exec(code.replace("PATH/TO/THIS/FOLDER", str(tmp_path / "package")), names)
    assert names["target"] in (0.0, 1.0)
    assert names["policy"].positions[names["held"]] == names["target"]
