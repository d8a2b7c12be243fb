"""What the diagnostics cost."""

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
    # Logging at every step costs a hundred times what it costs at every hundredth, which drowns
    # in the machine's noise.
    us = measure({"always": stepper(1), "never": stepper(0)})
    cost = us["always"] - us["never"]
    return [
        "## Logging",
        "",
        f"Diagnostics of one step cost {cost:.0f} us on 10-256-128-64-3, where a step takes "
        f"{us['never']:.0f} us; every 100 steps, the default, that is "
        f"{cost / 100 / us['never']:.2%} of training time.",
    ]


if __name__ == "__main__":
    print("\n".join(main()))
