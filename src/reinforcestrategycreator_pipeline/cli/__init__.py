"""The command line, ``rsc``; imports are deferred until they are needed."""

from __future__ import annotations

import sys


def main() -> int:
    """Run ``rsc`` and return its exit code: 0 only if the whole request succeeded."""
    try:
        from reinforcestrategycreator_pipeline.interrupts import ends_at_once

        with ends_at_once():  # also while the rest is imported
            from reinforcestrategycreator_pipeline.cli.entry import run_app

            return run_app()
    except KeyboardInterrupt:  # while these few lines were imported
        if sys.stderr is not None:
            sys.stderr.write("error: interrupted\n")
        return 130
