"""Results that outlive an interruption, and sections of RESULTS.md of their own."""

from __future__ import annotations

import hashlib
import json
import os
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import reinforcestrategycreator_pipeline as product

HERE = Path(__file__).parent
MARKDOWN = HERE / "RESULTS.md"
IMAGES = HERE.parent / "docs" / "images"
SCRATCH = HERE.parent / "runs" / "benchmarks"


def source_sha256(*packages: str) -> str:
    """Return a hash over the source of these packages of the product."""
    root, digest = Path(product.__file__).parent, hashlib.sha256()
    for path in sorted(p for package in packages for p in root.glob(f"{package}/**/*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def key_of(depends_on: dict[str, Any]) -> str:
    """Return what names a result that depends on these JSON-serializable values."""
    key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return key[:16]


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of installed packages."""
    return {name: version(name) for name in packages}


def write(path: Path, value: Any) -> None:
    """Write JSON whole or not at all, a list of numbers in one line."""
    text = json.dumps(value, indent=1, allow_nan=False)
    text = re.sub(r"\[[^][{}\"]*\]", lambda match: " ".join(match[0].split()), text)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)


def replace_section(lines: list[str]) -> None:
    """Put `lines` in the place of their section of RESULTS.md, or at its end."""
    text = MARKDOWN.read_text(encoding="utf-8") if MARKDOWN.is_file() else "# Benchmark results\n"
    before, heading, rest = text.partition(lines[0] + "\n")
    following = rest.find("\n## ") if heading else -1
    after = rest[following:] if following >= 0 else ""
    MARKDOWN.write_text(
        before.rstrip() + "\n\n" + "\n".join(lines) + "\n" + after, encoding="utf-8"
    )
