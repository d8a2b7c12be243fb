"""What the diagnostics cost."""

from __future__ import annotations

from benchmarks.measuring import pin, run, us_per_call
from benchmarks.steps import new_dqn


def main(quick: bool = False) -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    pin()
    # Logging at every step costs a hundred times what it costs at every hundredth, which drowns
    # in the machine's noise.
    hidden = [256, 128, 64]
    steps = {
        "always": new_dqn(hidden, log_interval=1).train_step,
        "never": new_dqn(hidden, log_interval=0).train_step,
    }
    us = us_per_call(steps, *((2, 20) if quick else (20, 200)))
    cost = us["always"] - us["never"]
    return [
        "## Logging",
        "",
        f"Diagnostics of one step cost {cost:.0f} us on 10-256-128-64-3, where a step takes "
        f"{us['never']:.0f} us; every 100 steps, the default, that is "
        f"{cost / 100 / us['never']:.2%} of training time.",
    ]


if __name__ == "__main__":
    run(main)
