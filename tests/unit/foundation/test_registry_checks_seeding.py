"""Names, checks and generators: the words that users read, and independence of the streams."""

import math
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from reinforcestrategycreator_pipeline import checks
from reinforcestrategycreator_pipeline.backtesting.metrics.base import METRICS, metric
from reinforcestrategycreator_pipeline.errors import ConfigError, nearest
from reinforcestrategycreator_pipeline.features.base import FEATURES
from reinforcestrategycreator_pipeline.registry import Registry
from reinforcestrategycreator_pipeline.reporting.charts.base import CHARTS, chart
from reinforcestrategycreator_pipeline.seeding import (
    generator,
    generator_state,
    restore_generator,
)


def registry() -> Registry:
    found: Registry = Registry("reward")
    found.register("log_growth")(math.log)
    found.register("sharpe")(math.sqrt)
    return found


def test_near_misses_are_named():
    with pytest.raises(
        ConfigError, match=r"^unknown reward 'log_grwth'\. Did you mean 'log_growth'\?$"
    ):
        registry().get("log_grwth")
    with pytest.raises(ConfigError, match=r"Valid names: log_growth, sharpe\.$"):
        registry().get("zzz")
    assert nearest("x", []) == ""


def test_a_name_is_taken_once():
    with pytest.raises(ConfigError, match="'sharpe' is already registered"):
        registry().register("sharpe")(math.exp)


@pytest.mark.parametrize("family", ["metric", "chart", "feature"])
def test_a_cell_of_a_notebook_may_run_again(family):
    options = "unit='ratio', group='Risk', higher_is_better=True"
    cells = {
        "metric": (METRICS, f"@metric('again', 'Again', {options})\ndef f(p): ..."),
        "chart": (CHARTS, "@chart('again', 'Again', 'Mine')\ndef f(data, asset, times): ..."),
        "feature": (FEATURES, "@FEATURES.register('again')\nclass F: ..."),
    }
    members, cell = cells[family]
    try:
        for _ in range(2):
            notebook = {"metric": metric, "chart": chart, "FEATURES": FEATURES, "__name__": "n"}
            exec(cell, notebook)
            found = members.get("again")
            own = next(v for k, v in notebook.items() if k in ("f", "F"))
            assert own in (found, getattr(found, "function", None), getattr(found, "draw", None))
        with pytest.raises(ConfigError, match=f"the {family} 'again' is already registered"):
            exec(cell.replace("def f", "def g").replace("class F", "class G"), notebook)
    finally:
        members._members.pop("again", None)


def own(growth):
    return growth


def test_code_from_outside():
    known = registry()
    with pytest.raises(ConfigError, match=f"'{__name__}:own' is not declared as a reward"):
        known.get(f"{__name__}:own")
    assert known.declare(own) is own
    assert known.get(f"{__name__}:own") is own
    with pytest.raises(
        ConfigError, match=r"cannot find 'ownn' in '.*:ownn'\. Did you mean 'own'\?"
    ):
        known.get(f"{__name__}:ownn")
    with pytest.raises(ConfigError, match="cannot import 'no_such_module'"):
        registry().get("no_such_module:x")


@dataclass(frozen=True)
class Two:
    rate: float
    names: tuple = ()


def test_from_mapping():
    assert checks.from_mapping(Two, {"rate": 1, "names": ["a"]}, "Two") == Two(1, ("a",))
    with pytest.raises(ConfigError, match=r"^Two has no parameter 'rat'\. Did you mean 'rate'\?$"):
        checks.from_mapping(Two, {"rat": 1}, "Two")
    with pytest.raises(ConfigError, match=r"^Two needs the parameter 'rate'\.$"):
        checks.from_mapping(Two, {}, "Two")
    with pytest.raises(ConfigError, match="must be a mapping"):
        checks.from_mapping(Two, [1], "Two")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "1", None, 0.0, 2.0])
def test_numbers_out_of_bounds_are_refused(value):
    with pytest.raises(
        ConfigError, match=r"^The x parameter of Y must be a (finite )?number in \(0, 2\)\. Got"
    ):
        checks.require_number("Y", "x", value, above=0, below=2)


@pytest.mark.parametrize("value", [1.0, True, "1", 0, 4])
def test_integers_out_of_bounds_are_refused(value):
    with pytest.raises(ConfigError, match=r"must be an integer in \[1, 3\]\. Got .* instead\.$"):
        checks.require_int("Y", "x", value, 1, 3)


def test_streams_are_independent_of_the_order_of_their_making():
    alone = generator(5, "replay").random(4)
    generator(5, "exploration").random(100)
    np.testing.assert_array_equal(generator(5, "replay").random(4), alone)
    assert not np.array_equal(generator(5, "exploration").random(4), alone)
    assert not np.array_equal(generator(6, "replay").random(4), alone)


def test_another_process_draws_the_same():
    code = (
        "from reinforcestrategycreator_pipeline.seeding import generator;"
        "print(generator(5, 'replay').random(4).tolist())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == str(generator(5, "replay").random(4).tolist())


def test_a_generator_goes_on_where_it_was_saved():
    rng = generator(1, "x")
    rng.integers(10, size=3)  # leaves half a word buffered: part of the state
    state = generator_state(rng)
    expected = rng.integers(10, size=5)
    other = generator(2, "y")
    restore_generator(other, state)
    np.testing.assert_array_equal(other.integers(10, size=5), expected)


def test_the_decorator_takes_parentheses_and_no_name() -> None:
    found = registry()

    @found.declare()
    def mine() -> None: ...

    assert found.build(mine) is mine
    assert id(mine) in found._declared
    with pytest.raises(ConfigError, match="the decorator of a reward takes no name"):
        found.declare("mine")


def test_hints_for_names() -> None:
    with pytest.raises(ConfigError, match="One of your own is 'mine:averse', with a colon"):
        registry().get("mine.averse")
    assert nearest("lr", ["gamma", "learning_rate"]) == " Did you mean 'learning_rate'?"
