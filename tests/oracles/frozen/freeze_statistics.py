"""Write the statistics of foreign packages: ``python tests/oracles/frozen/freeze_statistics.py``.

It needs the extra `oracles`, and then `pip install --no-deps rliable`, whose arch is an older one.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from foreign_statistics import FIGURES, PACKAGES, key  # noqa: E402


def main() -> None:
    """Run every case of every package."""
    about = {name: version(name) for name in (*PACKAGES, "numpy")}
    parts = [
        f'"versions": {json.dumps(about)}',
        '"script": "tests/oracles/frozen/freeze_statistics.py"',
    ]
    for name, (_, make, cases) in FIGURES.items():
        lines = ",\n".join(f"{json.dumps(key(c))}: {json.dumps(make(c))}" for c in cases)
        parts.append(f"{json.dumps(name)}: {{\n{lines}\n}}")
    (HERE / "statistics.json").write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
