"""``python -m reinforcestrategycreator_pipeline`` is ``rsc``."""

import os
import sys

# Python puts the current folder first, where any file could take the place of a library.
if sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109  pathlib takes time to import
    del sys.path[0]

try:
    from reinforcestrategycreator_pipeline.cli import main
except KeyboardInterrupt:  # Ctrl-C before there is anything to end
    if sys.stderr is not None:
        sys.stderr.write("error: interrupted\n")
    sys.exit(130)

if __name__ == "__main__":
    raise SystemExit(main())
