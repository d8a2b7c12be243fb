"""``python -m reinforcestrategycreator_pipeline`` is ``rsc``."""

import os
import sys

# Python puts the current folder first, where any file could take the place of a library.
if sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109  pathlib takes time to import
    del sys.path[0]

from reinforcestrategycreator_pipeline.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
