"""``python -m reinforcestrategycreator_pipeline`` is ``rsc``."""

from reinforcestrategycreator_pipeline.cli.entry import run_app

if __name__ == "__main__":
    raise SystemExit(run_app())
