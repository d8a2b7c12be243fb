"""The examples in docstrings print what they say, each module's in a folder of its own."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import reinforcestrategycreator_pipeline

PACKAGE = Path(reinforcestrategycreator_pipeline.__file__).parent
MODULES = sorted(
    ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    )
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def failures(module: object, name: str) -> tuple[int, int]:
    """Run a module's examples; return how many fail and how many there are."""
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for example in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(example)
    return runner.failures, runner.tries


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = failures(importlib.import_module(name), name)
    assert tried > 0
    assert failed == 0


def test_a_wrong_example_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    class Wrong:
        """Say something untrue.

        >>> 1 + 1
        3
        """

    assert failures(Wrong, "Wrong") == (1, 1)
    assert "Expected:\n    3" in capsys.readouterr().out
