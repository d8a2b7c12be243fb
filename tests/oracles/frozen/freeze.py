"""Write the figures of foreign backtests: ``python tests/oracles/frozen/freeze.py``.

It needs the extra `oracles`.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from foreign import CASES, RUNS  # noqa: E402


def main() -> None:
    """Run every case of every package."""
    for package, cases in CASES.items():
        found = {}
        for case in cases():
            equity = RUNS[package](case)[case.frozen_bars()]
            found[case.name] = {"inputs": case.inputs(), "equity": equity.tolist()}
        about = {
            "package": package,
            "version": version(package),
            "numpy": version("numpy"),
            "pandas": version("pandas"),
            "script": "tests/oracles/frozen/freeze.py",
        }
        lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in found.items())
        text = f'{json.dumps(about)[:-1]},\n"cases": {{\n{lines}\n}}}}\n'
        (HERE / f"{package}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
