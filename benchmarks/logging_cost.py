"""What the diagnostics cost: training with log_interval 100 against training without."""

from __future__ import annotations

from benchmarks.train_step import BATCH, GAMMA, Step, measure, transitions
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN


def stepper(log_interval: int) -> Step:
    """Return a training step of the 10-256-128-64-3 network."""
    settings = {"hidden_layers": [256, 128, 64], "log_interval": log_interval}
    dqn = DQN({"hyperparameters": settings})
    dqn.build((10,), (3,))
    for row in zip(*transitions(), strict=True):
        dqn.replay_buffer.push(*row)
    return lambda: dqn._train_step(BATCH, GAMMA)


def main() -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    us = measure({"with": stepper(100), "without": stepper(0)}, rounds=40, inner=200)
    cost = us["with"] / us["without"] - 1
    return [
        "## Logging",
        "",
        f"Diagnostics every 100 steps cost {cost:+.1%} of training time on 10-256-128-64-3 "
        f"({us['with']:.0f} against {us['without']:.0f} us a step; medians of 40 interleaved "
        "rounds, within the machine's noise of a few percent; counted, they are one copy, three "
        "norms and two reductions in a hundred steps).",
    ]


if __name__ == "__main__":
    print("\n".join(main()))
