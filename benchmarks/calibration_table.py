"""The table of the verdict in the package: its levels, what they did, and the code that decided."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

import reinforcestrategycreator_pipeline as product
from benchmarks import kept
from benchmarks.calibration_report import by_family
from reinforcestrategycreator_pipeline.verdict.calibration import CALIBRATION, TABLE

ROOT = Path(product.__file__).parent
DECIDES = (
    "market/permutation",
    "statistics/combine",
    "statistics/detectable",
    "statistics/stepdown",
    "verdict/answer",
    "verdict/chance",
    "verdict/family",
    "verdict/free",
    "verdict/permuted",
)
"""Modules on which an answer depends, given policies and bars."""


def code_sha256() -> str:
    """Return a hash of the code that decides, of what it does and not of how it is written.

    Docstrings, comments and layout do not count.
    """
    digest = hashlib.sha256()
    for module in DECIDES:
        tree = ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                # A docstring, or the one that follows a constant.
                node.body = [x for x in body if not _is_text(x)] or [ast.Pass()]  # type: ignore[attr-defined]
        digest.update(f"{module}\n{ast.unparse(tree)}\n".encode())
    return digest.hexdigest()


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def write_table(made: dict[str, Any]) -> None:
    """Write the table from the lines of all null markets."""
    lines = [line for found in by_family(made["lines"], "null").values() for line in found]
    strong = sum(line["level"] == "strong" for line in lines)
    kept.write(
        TABLE,
        {
            "strong": CALIBRATION.strong,
            "weak": CALIBRATION.weak,
            "markets": len(lines),
            "false_strong": strong / len(lines),
            "false_strong_high": float(
                binomtest(strong, len(lines)).proportion_ci(0.95, "exact").high
            ),
            "date": made["date"],
            "code_sha256": code_sha256(),
        },
    )
