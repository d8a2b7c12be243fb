"""The main job: ``python run_main_pipeline.py [--config FILE] [--set key=value]...``.

The same as ``rsc run`` with the same options.
"""

from __future__ import annotations

import sys

try:
    from reinforcestrategycreator_pipeline.cli import main
except ModuleNotFoundError as error:
    if error.name != "reinforcestrategycreator_pipeline":
        raise
    sys.exit("error: the package is not installed: call `make run`, or `pip install .` first.")

if __name__ == "__main__":
    sys.argv = ["rsc", "run", *sys.argv[1:]]
    sys.exit(main())
