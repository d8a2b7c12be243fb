import dataclasses
import json

import pytest

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import MetricValue
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
        Check("Sharpe ratio", "at least 0.50", "0.90", True, "Sharpe ratio 0.90 (minimum 0.50)"),
        Check(
            "Max drawdown", "at most 50.00%", "12.00%", True, "max drawdown 12.00% (maximum 50.00%)"
        ),
        Check("Trades", "at least 10", "25", True, "trades 25 (minimum 10)"),
        Check(
            "Total return",
            "above buy and hold (25.00%)",
            "31.00%",
            True,
            "total return 31.00% (buy and hold: 25.00%)",
        ),
        Check(
            "Percentile of random policies",
            "at least 95",
            "98.0",
            True,
            "98th percentile of random policies (minimum 95th)",
        ),
    )
    assert decision.promoted
    assert decision.sentence == "Promoted. All five checks passed."
    assert decision.reasons == ""
    assert Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision


def test_a_decision_states_what_failed_beside_its_limit():
    own = {
        "sharpe": MetricValue(0.32),
        "max_drawdown": MetricValue(-0.12),
        "trades": MetricValue(25.0),
        "total_return": MetricValue(0.0741),
    }
    decision = decide(Thresholds(), own, {"total_return": MetricValue(0.4697)}, 16.4)
    assert not decision.promoted
    assert decision.sentence == (
        "Not promoted. Three of five checks failed: Sharpe ratio 0.32 (minimum 0.50); "
        "total return 7.41% (buy and hold: 46.97%); "
        "16th percentile of random policies (minimum 95th)."
    )


def test_a_decision_says_what_is_undefined():
    own = {**GOOD, "sharpe": MetricValue(None, "zero variance")}
    assert decide(Thresholds(), own, {}, None).sentence == (
        "Not promoted. Three of five checks failed: "
        "Sharpe ratio undefined (zero variance; minimum 0.50); "
        "total return 31.00% (buy and hold: undefined, not computed); "
        "percentile of random policies undefined (not computed; minimum 95th)."
    )


@pytest.mark.parametrize(
    ("passed", "sentence"),
    [
        ("", "Promoted. No checks were set."),
        ("y", "Promoted. The only check passed."),
        ("yy", "Promoted. Both checks passed."),
        ("yyy", "Promoted. All three checks passed."),
        ("n", "Not promoted. The only check failed: a 0 (at least 1)."),
        ("yn", "Not promoted. One of two checks failed: a 0 (at least 1)."),
        ("nn", "Not promoted. Both checks failed: a 0 (at least 1); a 0 (at least 1)."),
        ("nyyyyyyyyyy", "Not promoted. One of 11 checks failed: a 0 (at least 1)."),
    ],
)
def test_a_sentence_counts_in_words(passed, sentence):
    checks = (Check("a", "at least 1", "0", result == "y") for result in passed)
    assert Decision(tuple(checks)).sentence == sentence


@pytest.mark.parametrize(
    ("found", "limit", "phrase"),
    [
        (1.0, 95.0, "1st percentile of random policies (minimum 95th)"),
        (11.2, 95.0, "11th percentile of random policies (minimum 95th)"),
        (21.6, 93.0, "22nd percentile of random policies (minimum 93rd)"),
        (50.0, 97.5, "50th percentile of random policies (minimum 97.5th)"),
        # Rounded to a whole number, these would seem to reach their limit.
        (94.9, 95.0, "94.9th percentile of random policies (minimum 95th)"),
        (94.99, 95.0, "94.99th percentile of random policies (minimum 95th)"),
    ],
)
def test_percentiles_are_ordinal_numbers(found, limit, phrase):
    checks = of(percentile=found, min_random_percentile=limit)
    assert checks["Percentile of random policies"].phrase == phrase


def test_any_metric_may_be_a_threshold():
    metrics = {**GOOD, "turnover": MetricValue(12.0), "win_rate": MetricValue(None, "no trades")}
    found = of(metrics, minimum={"win_rate": 0.5}, maximum={"turnover": 10, "max_drawdown": -0.1})
    assert found["Win rate"][:4] == ("Win rate", "at least 50.00%", "undefined (no trades)", False)
    assert found["Win rate"].phrase == "win rate undefined (no trades; minimum 50.00%)"
    assert found["Turnover a year"][:4] == ("Turnover a year", "at most 10.00x", "12.00x", False)
    assert found["Turnover a year"].phrase == "turnover a year 12.00x (maximum 10.00x)"
    with pytest.raises(ConfigError, match="unknown metric 'trunover'"):
        Thresholds(minimum={"trunover": 1.0})
    with pytest.raises(ConfigError, match=r"maximum\.turnover parameter of Thresholds must"):
        Thresholds(maximum={"turnover": "low"})
    with pytest.raises(ConfigError, match="a module of the standard library has no components"):
        Thresholds(minimum={"math:sqrt": 1.0})


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"metrics": {**GOOD, "sharpe": MetricValue(0.49)}}, "Sharpe ratio", "0.49"),
        ({"metrics": {**GOOD, "sharpe": MetricValue(-3.0)}}, "Sharpe ratio", "-3.00"),
        ({"metrics": {**GOOD, "max_drawdown": MetricValue(-0.51)}}, "Max drawdown", "51.00%"),
        ({"metrics": {**GOOD, "trades": MetricValue(9.0)}}, "Trades", "9"),
        ({"metrics": {**GOOD, "total_return": MetricValue(0.2)}}, "Total return", "20.00%"),
        ({"percentile": 94.9}, "Percentile of random policies", "94.9"),
        (
            {"percentile": float("nan")},
            "Percentile of random policies",
            "undefined (not a number)",
        ),
        ({"percentile": None}, "Percentile of random policies", "undefined (not computed)"),
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
    assert "above buy and hold (undefined, " in found.rule


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
    assert checks["Percentile of random policies"].value == "94.99"
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
