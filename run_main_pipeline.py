"""The main job: ``python run_main_pipeline.py [--config FILE] [--set key=value]...``.

The same as ``rsc run`` with the same options.
"""

from __future__ import annotations

import sys

OLDEST, NEWEST = (3, 11), (3, 14)  # the versions of Python that the tests were run with
HERE = sys.version_info[:2]


def _name(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


if HERE < OLDEST:
    sys.exit(f"error: Python {_name(OLDEST)} or newer is needed; this is {_name(HERE)}.")
if HERE > NEWEST and sys.stderr is not None:
    tried = f"{_name(OLDEST)} to {_name(NEWEST)}"
    sys.stderr.write(f"note: this is Python {_name(HERE)}; the tests were run with {tried}.\n")

try:
    from reinforcestrategycreator_pipeline.cli import main
except KeyboardInterrupt:  # Ctrl-C before there is anything to end
    if sys.stderr is not None:
        sys.stderr.write("error: interrupted\n")
    sys.exit(130)
except ModuleNotFoundError as error:
    if error.name != "reinforcestrategycreator_pipeline":
        raise
    sys.exit("error: the package is not installed: call `make run`, or `pip install .` first.")

if __name__ == "__main__":
    sys.argv = ["rsc", "run", *sys.argv[1:]]
    sys.exit(main())
