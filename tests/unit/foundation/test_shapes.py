"""Shapes in signatures are checked while tests run, and the program knows nothing of it."""

from __future__ import annotations

import re
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import shapes

from reinforcestrategycreator_pipeline.backtesting.metrics.equity import drawdown
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.execution.accounting import prices_of
from reinforcestrategycreator_pipeline.nn.heads.c51 import C51
from reinforcestrategycreator_pipeline.nn.heads.expected import Expected
from reinforcestrategycreator_pipeline.nn.losses import LOSSES, squared
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec, apply
from reinforcestrategycreator_pipeline.policies.oracle import best_choices

both = find_spec("jaxtyping") is not None and find_spec("beartype") is not None
needs_checkers = pytest.mark.skipif(not both, reason="jaxtyping and beartype are not installed")

NUMBERS = SimpleNamespace(n_atoms=5, v_min=-1.0, v_max=1.0, loss="squared", huber_delta=1.0)
SPEC = NetworkSpec(3, (4,), 2)
WEIGHTS = {name: np.ones(shape) for name, shape in SPEC.shapes.items()}
ONES = np.ones


def test_nothing_in_the_package_imports_the_checkers() -> None:
    sources = list(shapes.SOURCE.rglob("*.py"))
    assert len(sources) > 100
    for path in sources:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(from|import) (jaxtyping|beartype)", text, re.M), path


@needs_checkers
def test_what_matters_is_checked() -> None:
    package = shapes.PACKAGE
    for name in (
        "nn.network:apply",
        "nn.network:Pass.forward",
        "nn.network:Backward.run",
        "nn.heads.c51:C51.loss",
        "nn.losses:squared",
        "execution.accounting:prices_of",
        "backtesting.metrics.equity:drawdown",
        "policies.oracle:best_choices",
    ):
        assert f"{package}.{name}" in shapes.CHECKED


@needs_checkers
def test_what_is_registered_is_the_checked_function() -> None:
    assert LOSSES.get("squared") is squared
    assert LOSSES.name_of(squared) == "squared"


# Each is a shape that NumPy would broadcast, or take for another one, without a word.
WRONG = {
    "rewards as a column": lambda: Expected(NUMBERS).loss(
        ONES((6, 1)), ONES((6, 1)), ONES((6, 1)), ONES(6)
    ),
    "one reward for all": lambda: C51(NUMBERS).loss(ONES((6, 5)), ONES((6, 5)), ONES(1), ONES(6)),
    "another number of atoms": lambda: C51(NUMBERS).values(ONES((6, 1))),
    "states of another length": lambda: apply(SPEC, WEIGHTS, ONES((6, 4))),
    "as many years as bars": lambda: prices_of(ONES(5), ONES(5), ONES(5)),
    "a table of one column": lambda: follow(np.zeros(5, dtype=np.int64), 0),
    "a table of floats": lambda: follow(np.zeros((5, 2)), 0),
    "a grid that is not square": lambda: best_choices(ONES((5, 2, 3))),
    "two accounts": lambda: drawdown(ONES((5, 2))),
}


@needs_checkers
@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_a_planted_wrong_argument_is_caught(call) -> None:
    import jaxtyping

    with pytest.raises(jaxtyping.TypeCheckError):
        call()


def test_the_right_shapes_pass() -> None:
    C51(NUMBERS).loss(ONES((6, 5)), ONES((6, 5)), ONES(6), ONES(6))
    assert apply(SPEC, WEIGHTS, ONES((2, 6, 3))).shape == (2, 6, 2, 1)
    assert len(prices_of(ONES(5), ONES(5), ONES(4)).years) == 4
    assert follow(np.zeros((5, 2), dtype=np.int64), 0).shape == (5,)


@needs_checkers
def test_a_planted_wrong_result_is_caught() -> None:
    import jaxtyping

    source = b"""
from __future__ import annotations
from typing import Annotated
from reinforcestrategycreator_pipeline.arrays import F64

def returns(equity: Annotated[F64, "bars"]) -> Annotated[F64, "bars-1"]:
    return equity[1:] / equity[:-1] - 1.0

def padded(equity: Annotated[F64, "bars"]) -> Annotated[F64, "bars-1"]:
    return equity / equity[0] - 1.0
"""
    names: dict = {"__name__": "planted", "__checked__": shapes.checked}
    exec(shapes.compiled(source, "planted.py"), names)
    assert names["returns"](ONES(5)).shape == (4,)
    with pytest.raises(jaxtyping.TypeCheckError, match="return value"):
        names["padded"](ONES(5))
