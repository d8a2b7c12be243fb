"""The Python snippets of README and docs have no error for a type checker."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "check_snippets.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("basedpyright") is None, reason="basedpyright is not installed"),
]

PLANTED = """# A page

```python
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN

dqn = DQN(seed=1)
```

```python
# mine.py
from reinforcestrategycreator_pipeline.arrays import F64

def double(x: F64) -> F64:
    return 2.0 * x
```

```bash
rsc run
```

```python
from mine import double, triple

dqn.trian_step()
double("x")
```
"""


def test_no_page_has_an_error() -> None:
    result = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_planted_errors_are_reported_at_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import check_snippets

    found = check_snippets.errors({"page.md": PLANTED, "other.md": PLANTED[:30]})
    assert [line.partition(" ")[0] for line in found] == [
        "page.md:22:",  # no `triple`
        "page.md:24:",
        "page.md:25:",
    ]
