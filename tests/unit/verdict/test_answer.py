"""The rule of the answer, by hand."""

import json

import pytest

from reinforcestrategycreator_pipeline.verdict.answer import LEVELS, Answer, answer
from reinforcestrategycreator_pipeline.verdict.chance import Chance

YEAR = 252.0


def chance(z=0.0):
    return Chance((), 500, z, 0.5, z or 0.0, ())


def of(p, sharpe=1.0, free=None, z=1.0, bars=1260, looks=1):
    free = {"always 1": 0.4} if free is None else free
    return answer(chance(z), p, looks, free, sharpe, bars, YEAR)


@pytest.mark.parametrize(
    ("p", "sharpe", "bars", "level"),
    [
        (0.0500, 0.41, 1260, "strong"),
        (0.0501, 0.41, 1260, "weak"),
        (0.1500, 0.41, 1260, "weak"),
        (0.1501, 0.41, 1260, "no evidence"),
        (0.0500, 0.40, 1260, "eaten by costs"),  # as much as what is free is not more
        (0.0500, None, 1260, "eaten by costs"),
        (0.1000, 0.40, 1260, "no evidence"),
        (0.5000, 2.00, 1260, "no evidence"),
        # (1.645 + 0.842) / sqrt(n / 252) is 2 for n = 389.6.
        (0.5000, 2.00, 389, "not enough data"),
        (0.5000, 2.00, 390, "no evidence"),
        (0.0500, 2.00, 100, "strong"),  # few bars, and yet clear
        (0.1000, 0.40, 100, "not enough data"),
        (None, 0.41, 1260, "no evidence"),  # there was nothing to test
        (None, 0.41, 100, "no evidence"),
    ],
)
def test_the_rule(p, sharpe, bars, level):
    assert of(p, sharpe, bars=bars).level == level
    assert level in LEVELS


def test_cash_and_the_best_constant_are_free():
    assert of(0.01, -0.1, {}).level == "eaten by costs"
    assert of(0.01, 0.1, {}).level == "strong"
    assert of(0.01, 0.1, {"always 1": -0.5, "always -1": 0.5}).level == "eaten by costs"
    found = of(0.01, 0.6, {"always 1": -0.5, "always -1": 0.5})
    assert (found.level, found.best_free, found.free) == ("strong", "always -1", 0.5)
    assert of(0.01, 0.6, {"always 1": -0.5}).best_free == "cash"


def test_bars_that_are_needed():
    """(1.6449 + 0.8416)^2 = 6.1826 times the bars, over z squared."""
    assert of(0.3, z=0.5, bars=1000).needed == 24_731
    assert of(0.3, z=1.0, bars=1000).needed == 6183
    assert of(0.3, z=-0.1).needed is None
    assert of(0.3, bars=1008).smallest == pytest.approx(2.48648 / 2.0, rel=1e-4)  # four years


def test_its_words():
    assert str(of(0.24, z=0.7, bars=1000)) == (
        "No evidence of an edge. In other orders of the same bars, chance timed them as well in "
        "24% of cases (p 0.24). Its Sharpe ratio, net of costs, is 1.00; always 1, which is free, "
        "has 0.40. So many bars (1,000) show timing with a Sharpe ratio of 1.2 in 80% of "
        "cases. To show timing of the strength seen here takes about 12,000 bars more."
    )
    assert str(of(0.0002, looks=3)).startswith(
        "Strong evidence of an edge. In other orders of the same bars, chance timed them as well "
        "in less than 0.1% of cases (p 2.0e-04). This counts all 3 policies that were tried on "
        "these bars. Its Sharpe"
    )
    assert "is 0.30; always 1, which is free, has 0.40." in str(of(0.01, 0.3))
    # Rounding never hides why the answer is what it is.
    assert "is 0.399; always 1, which is free, has 0.400." in str(of(0.01, 0.399))
    assert str(of(0.01, 0.3)).startswith("Real timing, but no gain: it earns less than what is")
    assert "no better than the mean of chance" in str(of(0.6, z=-0.2))
    assert str(of(None)) == (
        "No evidence of an edge. In any order of these bars the policy would have held nearly the "
        "same positions, as one that always holds its baseline does: there is no timing to test."
    )


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, None])
def test_saved_as_it_was(p):
    found = of(p)
    stored = json.loads(json.dumps(found.to_json()))
    assert Answer.from_json(stored) == found
    assert stored["reasons"] == list(found.reasons)


def test_an_unknown_answer_is_refused():
    stored = of(0.5).to_json() | {"level": "perhaps"}
    with pytest.raises(ValueError, match="no answer is called 'perhaps'"):
        Answer.from_json(stored)
