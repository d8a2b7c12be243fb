"""The command line, ``rsc``; imports are deferred until they are needed."""

from __future__ import annotations


def main() -> int:
    """Run ``rsc`` and return its exit code: 0 only if the whole request succeeded."""
    from reinforcestrategycreator_pipeline.cli.entry import run_app

    return run_app()
