"""The command line, ``rsc``; nothing is imported before it is needed."""

from __future__ import annotations


def main() -> int:
    """Run ``rsc`` and return its exit code: 0 only if everything asked for succeeded."""
    from reinforcestrategycreator_pipeline.cli.entry import run_app

    return run_app()
