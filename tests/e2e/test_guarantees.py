"""docs/guarantees.md names for every promise a test that exists."""

import ast
import re

import pytest
from snippets import ROOT

PAGE = ROOT / "docs" / "guarantees.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| Promise")
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_a_promise_names_tests_that_exist(row):
    promise, _, shown = row
    links = re.findall(r"\[([^]]+)\]\(([^)]+)\)", shown)
    assert promise.endswith(".")
    assert links
    for text, target in links:
        file = (PAGE.parent / target).resolve()
        assert file.is_relative_to(ROOT / "tests")
        tree = ast.parse(file.read_text(encoding="utf-8"))
        known = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        named = re.findall(r"`([^`]+)`", text)
        assert named
        assert {name for name in named if name != file.name} <= known


def test_the_table_is_found():
    assert len(ROWS) > 10
