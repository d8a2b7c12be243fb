import dataclasses
import json

import pytest

from reinforcestrategycreator_pipeline.backtest.metrics.catalog import MetricValue
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.verdict.decision import Check, Decision
from reinforcestrategycreator_pipeline.verdict.thresholds import Thresholds, decide

GOOD = {
    "sharpe": MetricValue(0.9),
    "max_drawdown": MetricValue(-0.12),
    "trades": MetricValue(25.0),
    "total_return": MetricValue(0.31),
}
HOLD = {"total_return": MetricValue(0.25)}


def of(metrics=GOOD, hold=HOLD, percentile=98.0, **thresholds):
    decision = decide(Thresholds(**thresholds), metrics, hold, percentile)
    return {c.name: c for c in decision.checks}


def test_a_good_result_passes_every_condition():
    decision = decide(Thresholds(), GOOD, HOLD, 98.0)
    assert decision.checks == (
        Check("Sharpe ratio", "at least 0.50", "0.90", True),
        Check("Max drawdown", "at most 50.00%", "12.00%", True),
        Check("Trades", "at least 10", "25", True),
        Check("Total return", "above buy and hold's 25.00%", "31.00%", True),
        Check("Percentile among random policies", "at least 95", "98.0", True),
    )
    assert decision.promoted
    assert decision.sentence == "Promoted: it meets 5 of 5 conditions."
    assert decision.reasons == ""
    assert Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision


def test_a_decision_says_in_one_sentence_what_failed():
    decision = decide(Thresholds(), {**GOOD, "sharpe": MetricValue(0.31)}, {}, 98.0)
    assert not decision.promoted
    assert decision.sentence == f"Not promoted: {decision.reasons}."
    assert decision.reasons == (
        "Sharpe ratio is 0.31 and must be at least 0.50; Total return is 31.00% and must be above "
        "buy and hold's, which is undefined (not computed)"
    )
    assert Decision(()).sentence == "Promoted: no condition is set."


def test_any_metric_may_be_a_threshold():
    metrics = {**GOOD, "turnover": MetricValue(12.0), "win_rate": MetricValue(None, "no trades")}
    found = of(metrics, minimum={"win_rate": 0.5}, maximum={"turnover": 10, "max_drawdown": -0.1})
    assert found["Win rate"] == Check("Win rate", "at least 50.00%", "undefined (no trades)", False)
    assert found["Turnover a year"] == Check("Turnover a year", "at most 10.00x", "12.00x", False)
    with pytest.raises(ConfigError, match="unknown metric 'trunover'"):
        Thresholds(minimum={"trunover": 1.0})
    with pytest.raises(ConfigError, match=r"maximum\.turnover parameter of Thresholds must"):
        Thresholds(maximum={"turnover": "low"})
    with pytest.raises(ConfigError, match="'math:sqrt' is no metric: it lacks the decorator"):
        Thresholds(minimum={"math:sqrt": 1.0})


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"metrics": {**GOOD, "sharpe": MetricValue(0.49)}}, "Sharpe ratio", "0.49"),
        ({"metrics": {**GOOD, "sharpe": MetricValue(-3.0)}}, "Sharpe ratio", "-3.00"),
        ({"metrics": {**GOOD, "max_drawdown": MetricValue(-0.51)}}, "Max drawdown", "51.00%"),
        ({"metrics": {**GOOD, "trades": MetricValue(9.0)}}, "Trades", "9"),
        ({"metrics": {**GOOD, "total_return": MetricValue(0.2)}}, "Total return", "20.00%"),
        ({"percentile": 94.9}, "Percentile among random policies", "94.9"),
        ({"percentile": float("nan")}, "Percentile among random policies", "nan"),
        ({"percentile": None}, "Percentile among random policies", "undefined (not computed)"),
    ],
)
def test_one_condition_that_fails_is_enough(changes, name, value):
    checks = of(**changes)
    assert checks[name].value == value
    assert [c.name for c in checks.values() if not c.passed] == [name]


@pytest.mark.parametrize("key", ["sharpe", "max_drawdown", "trades", "total_return"])
def test_what_is_undefined_fails_and_says_why(key):
    undefined = {**GOOD, key: MetricValue(None, "no trades")}
    missing = {k: v for k, v in GOOD.items() if k != key}
    for metrics, reason in ((undefined, "no trades"), (missing, "not computed")):
        failed = [c for c in of(metrics).values() if not c.passed]
        assert [c.value for c in failed] == [f"undefined ({reason})"]


@pytest.mark.parametrize("hold", [{}, {"total_return": MetricValue(None, "x")}])
def test_a_benchmark_that_is_missing_is_not_beaten(hold):
    found = of(hold=hold)["Total return"]
    assert not found.passed
    assert "buy and hold's, which is undefined" in found.rule


def test_limits_are_met_by_their_own_value_but_a_benchmark_must_be_beaten():
    metrics = {
        "sharpe": MetricValue(0.5),
        "max_drawdown": MetricValue(-0.5),
        "trades": MetricValue(10.0),
        "total_return": MetricValue(0.25),
    }
    checks = of(metrics, percentile=95.0)
    assert [c.name for c in checks.values() if not c.passed] == ["Total return"]


def test_rounding_never_hides_why_a_condition_failed():
    metrics = {
        "sharpe": MetricValue(0.4999),
        "max_drawdown": MetricValue(-0.500001),
        "trades": MetricValue(25.0),
        "total_return": MetricValue(0.25),
    }
    checks = of(metrics, percentile=94.99)
    assert checks["Sharpe ratio"].value == "0.4999"
    assert checks["Max drawdown"].value.startswith("50.0001")
    assert checks["Total return"].value == "25.0%"
    assert checks["Percentile among random policies"].value == "94.99"
    assert not any(c.passed for c in checks.values() if c.name != "Trades")


def test_what_is_not_set_is_not_looked_at():
    nothing = Thresholds(None, None, 0, False, None)
    decision = decide(nothing, {"trades": MetricValue(0.0)}, {}, None)
    assert [c.name for c in decision.checks] == ["Trades"]
    assert decision.promoted


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"min_sharpe": float("nan")}, "min_sharpe"),
        ({"min_sharpe": "0.5"}, "min_sharpe"),
        ({"max_drawdown": 0.0}, "max_drawdown"),
        ({"max_drawdown": -0.5}, "max_drawdown"),
        ({"max_drawdown": 50}, "max_drawdown"),
        ({"min_trades": -1}, "min_trades"),
        ({"min_trades": 2.5}, "min_trades"),
        ({"beat_buy_and_hold": 1}, "beat_buy_and_hold"),
        ({"min_random_percentile": 101}, "min_random_percentile"),
        ({"min_random_percentile": True}, "min_random_percentile"),
    ],
)
def test_wrong_thresholds_are_refused(changes, name):
    with pytest.raises(ConfigError, match=f"The {name} parameter of Thresholds must be"):
        Thresholds(**changes)


def test_thresholds_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Thresholds().min_sharpe = 0.0
