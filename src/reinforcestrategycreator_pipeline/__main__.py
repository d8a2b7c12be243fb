"""``python -m reinforcestrategycreator_pipeline`` is ``rsc``."""

import sys
from pathlib import Path

# Python puts the current folder first, where any file could take the place of a library.
if sys.path and sys.path[0] in ("", str(Path.cwd())):
    del sys.path[0]

from reinforcestrategycreator_pipeline.cli.entry import run_app

if __name__ == "__main__":
    raise SystemExit(run_app())
