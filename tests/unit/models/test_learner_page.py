"""The pages on the learner name existing functions, options, defaults and examples.

Their snippets run in tests/e2e/test_readme.py.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from reinforcestrategycreator_pipeline.models.implementations.dqn_config import DQNHyperparameters

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/explanation/one-training-step.md").read_text(encoding="utf-8")
OPTIONS = (ROOT / "docs/reference/learner.md").read_text(encoding="utf-8")
OWN_PARTS = (ROOT / "docs/how-to/add-a-loss-head-or-schedule.md").read_text(encoding="utf-8")
OTHERS = ("docs/explanation/loss-floor.md", "docs/how-to/learn-on-gymnasium.md")
PACKAGE = "reinforcestrategycreator_pipeline"
CITED = re.compile(r"`((?:models|nn|replay)/[\w/]+)\.py`, `([\w.]+)`")


def missing(page: str) -> list[str]:
    """Return the functions that a page cites and that do not exist."""
    found = []
    for path, name in CITED.findall(page):
        here: object = importlib.import_module(f"{PACKAGE}.{path.replace('/', '.')}")
        for part in name.split("."):
            here = getattr(here, part, None)
        if here is None:
            found.append(f"{path}.py, {name}")
    return found


def section(title: str) -> str:
    """Return the text under a heading of the second rank."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_function_that_a_step_cites_exists() -> None:
    step = section("One training step")
    assert len(CITED.findall(step)) > 20
    assert missing(PAGE) == []
    for name in OTHERS:
        page = (ROOT / name).read_text(encoding="utf-8")
        assert CITED.findall(page)
        assert missing(page) == []


def test_a_function_that_is_gone_is_seen() -> None:
    assert missing("(`nn/adam.py`, `adam_stop`)") == ["nn/adam.py, adam_stop"]
    assert missing("(`nn/adam.py`, `Coefficients.off`)") == ["nn/adam.py, Coefficients.off"]


def test_every_step_says_where_it_is() -> None:
    steps = section("One training step").split("\n### ")[1:]
    assert [int(step.split(".")[0]) for step in steps] == list(range(1, 17))
    for step in steps:
        assert re.search(r"`(\w+/)+\w+\.py`|`(DQN|TrainingStep|Head)\.\w+`|d_outputs", step), step


def test_every_option_is_in_the_tables_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", OPTIONS, re.MULTILINE)
    truth = {f.name: f.default for f in dataclasses.fields(DQNHyperparameters)}
    shown = dict(rows)
    assert len(rows) == len(shown)
    assert set(shown) == set(truth)
    for name, default in truth.items():
        value = list(default) if isinstance(default, tuple) else default
        assert shown[name] == str(value), name


@pytest.mark.parametrize("name", ["own_loss", "own_head"])
def test_the_page_and_the_example_show_the_same_code(name: str) -> None:
    [shown] = re.findall(rf"```python\n# {name}\.py\n(.*?)```", OWN_PARTS, re.DOTALL)
    example = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    code = re.split(r"\n\n(?=\n?@loss|EPSILON)", shown, maxsplit=1)[1]
    assert code.count("\n") > 6
    assert code.strip() in example


def test_the_picture_is_sound_and_names_the_steps() -> None:
    assert "](../images/training_step.svg)" in PAGE
    root = ElementTree.parse(ROOT / "docs" / "images" / "training_step.svg").getroot()
    texts = [t.text or "" for t in root.iter() if t.tag.endswith("text")]
    steps = [m[1] for t in texts if (m := re.match(r"([\d, ]+)  ", t))]
    numbers = {int(n) for step in steps for n in step.split(",")}
    assert numbers == set(range(1, 17))
