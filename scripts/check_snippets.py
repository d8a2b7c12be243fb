"""Type-check the Python snippets of README and docs with pyright, as an editor does.

    python scripts/check_snippets.py [PAGE ...]

A page's snippets are one module, each at its own lines; one that begins with a file's name,
``# my.py``, is that file. Exit code 1 if pyright reports an error.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETTINGS = {
    "typeCheckingMode": "standard",
    "extraPaths": [str(ROOT / "src")],
    "reportRedeclaration": False,  # a page may show two versions of a thing
}
_FENCE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# (\w+)\.py\n")
_POLICY = """
import pandas as pd
from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.policies.q_policy import QPolicy
policy: QPolicy
raw_features: F64
history: pd.DataFrame
live: pd.DataFrame
held: int
frame: pd.DataFrame
first_decision: int
"""
_BROKER = """
import pytest as pytest
from typing import Any
RestDesk: Any
from reinforcestrategycreator_pipeline.testing.broker_contract import (
    BrokerContract as BrokerContract,
)
"""
_FEATURE = """
from dataclasses import dataclass as dataclass
from typing import ClassVar as ClassVar
import numpy
np = numpy
from reinforcestrategycreator_pipeline.features.base import (
    FEATURES as FEATURES, Bars as Bars, FloatArray as FloatArray
)
from reinforcestrategycreator_pipeline.features.windows import late as late
"""
# What a page's snippets take for granted, by the page's name: a stub, as pyright reads it.
GIVEN = {
    "connect-a-broker.md": _BROKER,
    "deployment.md": _POLICY + _BROKER,
    "export-onnx.md": _POLICY,
    "features.md": _FEATURE,
    "package-and-deploy.md": _POLICY,
}


def pages() -> list[Path]:
    """Return all pages for people."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def modules(page: str, name: str) -> dict[str, str]:
    """Return the modules that a page's snippets make, each line where it stands in the page."""
    found: dict[str, list[str]] = {}
    for match in _FENCE.finditer(page):
        file = _FILE.match(match[1])
        lines = found.setdefault(file[1] if file else "page", [])
        above = page.count("\n", 0, match.start()) + 1
        lines += [""] * (above - len(lines)) + match[1].splitlines()
    if "page" in found:
        found["page"][0] = "from given import *" if name in GIVEN else ""  # where the title is
    return {module: "\n".join(lines) + "\n" for module, lines in found.items()}


def errors(texts: dict[str, str]) -> list[str]:
    """Return what pyright finds in pages by their names: ``page:line: message``."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, page_of = Path(scratch).resolve(), {}
        for number, (name, text) in enumerate(texts.items()):
            for module, source in modules(text, Path(name).name).items():
                path = folder / f"page{number}" / f"{module}.py"
                path.parent.mkdir(exist_ok=True)
                path.write_text(source, encoding="utf-8")
                page_of[str(path)] = name
                if stub := GIVEN.get(Path(name).name):
                    path.with_name("given.pyi").write_text(stub, encoding="utf-8")
        roots = [{"root": f"page{number}"} for number in range(len(texts))]
        settings = {**SETTINGS, "executionEnvironments": roots}
        (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
        pyright = Path(sys.executable).parent / "basedpyright"
        command = [pyright, "--outputjson", "--pythonpath", sys.executable, "--project", folder]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            report = json.loads(result.stdout)
        except json.JSONDecodeError:
            raise SystemExit(f"error: pyright gave no report: {result.stderr}") from None
        return [
            f"{page_of[one['file']]}:{one['range']['start']['line'] + 1}: {one['message']}"
            for one in report["generalDiagnostics"]
            if one["severity"] == "error"
        ]


def main(arguments: list[str]) -> int:
    """Check the pages named, or all."""
    chosen = [Path(argument).resolve() for argument in arguments] or pages()
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in chosen}
    found = errors(texts)
    print("\n".join([*found, f"{len(found)} errors in the snippets of {len(texts)} pages"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
