"""Write the folds of foreign packages: ``python tests/oracles/frozen/freeze_folds.py``.

It needs the extra `oracles`.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from foreign_folds import all_pictures  # noqa: E402


def main() -> None:
    """Run every case of every package."""
    about = {name: version(name) for name in ("skfolio", "scikit-learn", "purgedcv", "numpy")}
    found = {"versions": about, "script": "tests/oracles/frozen/freeze_folds.py", **all_pictures()}
    parts = []
    for name, cases in found.items():
        text = json.dumps(cases)
        if name not in ("versions", "script"):
            lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in cases.items())
            text = f"{{\n{lines}\n}}"
        parts.append(f"{json.dumps(name)}: {text}")
    (HERE / "folds.json").write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
