import re
import sys
from pathlib import Path

import pytest

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import MetricValue
from reinforcestrategycreator_pipeline.deployment.paper import PaperTrader
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.reporting.model_card import compose_model_card
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars
from reinforcestrategycreator_pipeline.verdict.decision import Check, Decision

sys.path.insert(0, str(Path(__file__).parents[1] / "deployment"))
from deployment_cases import COLUMNS, package_policy, written

PASSED = Check("Trades", "at least 10", "25", True)
FAILED = Check("Sharpe ratio", "at least 0.50", "0.31", False)


@pytest.fixture
def card(report_kit):
    data = report_kit.build(symbols=("AAPL", "IBM"), bars=60)

    def compose(checks=(PASSED, FAILED), description="20 inputs, head c51", **changes):
        metrics = {
            **data.judgement.metrics,
            "PORTFOLIO": {
                **data.judgement.metrics["PORTFOLIO"],
                "ridge": {"sharpe": MetricValue(0.31), "max_drawdown": MetricValue(None, "bad")},
                "buy and hold": {"sharpe": MetricValue(0.8)},
            },
        }
        judgement = report_kit.replace(
            data.judgement,
            description=description,
            metrics=metrics,
            decision=Decision(tuple(checks)),
        )
        return compose_model_card(report_kit.replace(data, judgement=judgement, **changes))

    return compose


def test_a_card_says_what_one_must_know(card):
    text = card(positions=(-1.0, 0.0, 0.5))
    assert "The policy ridge chooses a target exposure" in text
    assert "**Not promoted.** One of two checks failed: Sharpe ratio 0.31 (at least 0.50)." in text
    assert "| Sharpe ratio | 0.31 | 0.80 |" in text
    assert "| Max drawdown | — (bad) | — (not computed) |" in text
    assert "| Trades | at least 10 | 25 | yes |" in text
    assert "negative is short): -1, 0, 0.5" in text
    assert "- train: 2000-03-01 to 2008-06-02" in text
    assert "- Policy: 20 inputs, head c51\n" in text
    assert "Seed 7, version 0.1.0" in text
    assert text == card(positions=(-1.0, 0.0, 0.5))


def test_a_policy_that_describes_nothing_is_called_no_network(card):
    text = card(description="")
    assert "etwork" not in text
    assert "DQN" not in text


def test_a_card_says_promoted_only_if_every_check_passed(card):
    assert "**Promoted.** The only check passed." in card(checks=[PASSED])
    assert "**Promoted.** No checks were set." in card(checks=[])
    assert "**Promoted" not in card()


def test_names_from_outside_cannot_change_the_card(card):
    evil = "<script>alert(1)</script> | x\n# Promoted **yes** `a` [b](c)"
    text = card(
        run_id=evil,
        features=(evil,),
        provenance={"source": evil, "licence": evil},
        description=evil,
    )
    assert "<script>" not in re.sub(r"\\.", "", text)
    assert "\n# Promoted" not in text
    assert "**yes**" not in text
    assert [line for line in text.splitlines() if line.startswith("# ")] == text.splitlines()[:1]


def test_the_lines_of_the_card_work(card, tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", card(), re.DOTALL).group(1)
    frame = make_bars(61)[list(COLUMNS)]
    features = FeatureSpec("returns", {"horizons": (1, 2, 5)})
    names = compute_features(frame, [features]).names
    inputs = Inputs(names, 5, (features.to_mapping(),))
    written(tmp_path / "package", package_policy(inputs=inputs))
    monkeypatch.chdir(tmp_path)
    last = frame.iloc[60]
    given = {"history": frame.iloc[:60], "time": last.name, "values": dict(last)}
    exec(code.replace("PATH/TO/THIS/FOLDER", "package").replace("SYMBOL", "AAPL"), given)
    assert given["target"] in (0.0, 1.0)
    again = PaperTrader.load("state", given["policy"], given["rules"])
    assert (again.target, again.stream.time) == (given["target"], last.name)


def test_a_card_says_whether_the_portfolio_is_rebalanced(card):
    assert "accounts of their own; weights are not rebalanced; at the end they are" in card()
    assert "which are made equal again monthly, at the open of a bar" in card(rebalance="monthly")
