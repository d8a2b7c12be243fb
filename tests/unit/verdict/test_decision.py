import dataclasses
import json

import pytest

from reinforcestrategycreator_pipeline.backtesting.excess import Excess
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import MetricValue
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.statistics.newey_west import Estimate
from reinforcestrategycreator_pipeline.verdict.answer import Answer
from reinforcestrategycreator_pipeline.verdict.decision import Check, Decision, Earlier
from reinforcestrategycreator_pipeline.verdict.thresholds import Thresholds, decide

GOOD = {
    "sharpe": MetricValue(0.9),
    "max_drawdown": MetricValue(-0.12),
    "trades": MetricValue(25.0),
    "total_return": MetricValue(0.31),
}
HOLD = {"total_return": MetricValue(0.25)}
ABOVE = Excess(Estimate(0.06, 0.03, 0.02))


def excess(p, value=0.01):
    return Excess(Estimate(value, 0.03, p))


ALL = {"beat_buy_and_hold": True, "max_excess_p": 0.05}


def found(level="strong", p=0.01):
    return Answer(level, p, 1, 0.9, 0.4, "cash", 1000, 500, 1.2)


def of(metrics=GOOD, hold=HOLD, excess=ABOVE, evidence="strong", answer=None, **thresholds):
    thresholds = Thresholds(evidence=evidence, **{**ALL, **thresholds})
    decision = decide(thresholds, metrics, hold, excess, answer or found())
    return {c.name: c for c in decision.checks}


def test_a_good_result_passes_every_condition():
    decision = decide(Thresholds(**ALL), GOOD, HOLD, ABOVE, found())
    assert decision.checks == (
        Check(
            "Verdict",
            "strong",
            "strong (p 0.01)",
            True,
            "verdict strong (p 0.01; minimum strong)",
        ),
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
            "Excess over buy and hold",
            "p at most 0.05",
            "6.00% a year, p 0.02",
            True,
            "excess over buy and hold 6.00% a year, p 0.02 (maximum 0.05)",
        ),
    )
    assert decision.promoted
    assert decision.sentence == "Promoted. All six checks passed."
    assert decision.reasons == ""
    assert Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision


def test_a_decision_states_what_failed_beside_its_limit():
    own = {
        "sharpe": MetricValue(0.32),
        "max_drawdown": MetricValue(-0.12),
        "trades": MetricValue(25.0),
        "total_return": MetricValue(0.0741),
    }
    decision = decide(
        Thresholds(**ALL),
        own,
        {"total_return": MetricValue(0.4697)},
        excess(0.987, -0.14),
        found("no evidence", 0.4),
    )
    assert not decision.promoted
    assert decision.sentence == (
        "Not promoted. Four of six checks failed: verdict no evidence (p 0.4; minimum "
        "strong); Sharpe ratio 0.32 (minimum 0.50); "
        "total return 7.41% (buy and hold: 46.97%); "
        "excess over buy and hold -14.00% a year, p 0.99 (maximum 0.05)."
    )


def test_a_decision_says_what_is_undefined():
    own = {**GOOD, "sharpe": MetricValue(None, "zero variance")}
    assert decide(Thresholds(**ALL), own, {}, None).sentence == (
        "Not promoted. Four of six checks failed: "
        "verdict undefined (not computed; minimum strong); "
        "Sharpe ratio undefined (zero variance; minimum 0.50); "
        "total return 31.00% (buy and hold: undefined, not computed); "
        "excess over buy and hold undefined (not computed; maximum 0.05)."
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


def test_a_decision_on_bars_already_seen_names_the_first():
    first = Earlier("mine", False, "Not promoted. The only check failed.", ("other thresholds",))
    decision = Decision((Check("a", "at least 1", "2", True),), first)
    assert decision.promoted
    assert decision.sentence == (
        "Promoted. The only check passed. Judged again on bars already seen, with other "
        "thresholds; the first decision was: not promoted (run mine)."
    )
    assert Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision


def test_any_metric_may_be_a_threshold():
    metrics = {**GOOD, "turnover": MetricValue(12.0), "win_rate": MetricValue(None, "no trades")}
    checks = of(metrics, minimum={"win_rate": 0.5}, maximum={"turnover": 10, "max_drawdown": -0.1})
    assert checks["Win rate"][:4] == ("Win rate", "at least 50.00%", "undefined (no trades)", False)
    assert checks["Win rate"].phrase == "win rate undefined (no trades; minimum 50.00%)"
    assert checks["Turnover a year"][:4] == ("Turnover a year", "at most 10.00x", "12.00x", False)
    assert checks["Turnover a year"].phrase == "turnover a year 12.00x (maximum 10.00x)"
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
        ({"excess": excess(0.06)}, "Excess over buy and hold", "1.00% a year, p 0.06"),
        ({"excess": excess(float("nan"))}, "Excess over buy and hold", "1.00% a year, p nan"),
        ({"excess": None}, "Excess over buy and hold", "undefined (not computed)"),
        (
            {"excess": Excess(reason="the policy is buy and hold")},
            "Excess over buy and hold",
            "undefined (the policy is buy and hold)",
        ),
    ],
)
def test_one_condition_that_fails_is_enough(changes, name, value):
    checks = of(**changes)
    assert checks[name].value == value
    assert [c.name for c in checks.values() if not c.passed] == [name]


@pytest.mark.parametrize(
    ("level", "p", "strong", "weak"),
    [
        ("strong", 0.05, True, True),
        ("weak", 0.06, False, True),
        ("eaten by costs", 0.001, False, False),
        ("no evidence", 0.5, False, False),
        ("not enough data", 0.5, False, False),
        ("no evidence", None, False, False),
    ],
)
def test_the_evidence_decides(level, p, strong, weak):
    for least, passed in (("strong", strong), ("weak", weak)):
        check = of(evidence=least, answer=found(level, p))["Verdict"]
        assert check.passed == passed
        assert check.value.startswith(level)
    assert "Verdict" not in of(evidence=None, answer=found(level, p))


@pytest.mark.parametrize("key", ["sharpe", "max_drawdown", "trades", "total_return"])
def test_what_is_undefined_fails_and_says_why(key):
    undefined = {**GOOD, key: MetricValue(None, "no trades")}
    missing = {k: v for k, v in GOOD.items() if k != key}
    for metrics, reason in ((undefined, "no trades"), (missing, "not computed")):
        failed = [c for c in of(metrics).values() if not c.passed]
        assert [c.value for c in failed] == [f"undefined ({reason})"]


@pytest.mark.parametrize("hold", [{}, {"total_return": MetricValue(None, "x")}])
def test_a_benchmark_that_is_missing_is_not_beaten(hold):
    check = of(hold=hold)["Total return"]
    assert not check.passed
    assert "above buy and hold (undefined, " in check.rule


def test_limits_are_met_by_their_own_value_but_a_benchmark_must_be_beaten():
    metrics = {
        "sharpe": MetricValue(0.5),
        "max_drawdown": MetricValue(-0.5),
        "trades": MetricValue(10.0),
        "total_return": MetricValue(0.25),
    }
    checks = of(metrics, excess=excess(0.05))
    assert [c.name for c in checks.values() if not c.passed] == ["Total return"]


def test_rounding_never_hides_why_a_condition_failed():
    metrics = {
        "sharpe": MetricValue(0.4999),
        "max_drawdown": MetricValue(-0.500001),
        "trades": MetricValue(25.0),
        "total_return": MetricValue(0.25),
    }
    checks = of(metrics, excess=excess(0.0501))
    assert checks["Sharpe ratio"].value == "0.4999"
    assert checks["Max drawdown"].value.startswith("50.0001")
    assert checks["Total return"].value == "25.00%"  # equal to its bound, which is to be exceeded
    assert checks["Excess over buy and hold"].value == "1.00% a year, p 0.0501"
    passed = [c.name for c in checks.values() if c.passed]
    assert passed == ["Verdict", "Trades"]


def test_what_is_not_set_is_not_looked_at():
    nothing = Thresholds(None, None, None, 0)
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
        ({"max_excess_p": 0.0}, "max_excess_p"),
        ({"max_excess_p": 5}, "max_excess_p"),
        ({"max_excess_p": True}, "max_excess_p"),
        ({"evidence": "some"}, "evidence"),
    ],
)
def test_wrong_thresholds_are_refused(changes, name):
    with pytest.raises(ConfigError, match=f"The {name} parameter of Thresholds must be"):
        Thresholds(**changes)


def test_thresholds_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Thresholds().min_sharpe = 0.0


@pytest.mark.parametrize("passed", [True, False])
def test_a_decision_is_as_true_as_its_promotion(passed):
    decision = Decision((Check("Trades", "at least 10", "3", passed),))
    assert bool(decision) is passed
    assert repr(decision) == f"Decision({str(decision)!r})"
