"""Agents trained together against the same agents trained one after the other."""

from __future__ import annotations

import numpy as np

from benchmarks.measuring import bar, interleaved, pin, repeated, run
from benchmarks.steps import N_ACTIONS, N_INPUTS, SETTINGS, fill, new_dqn
from reinforcestrategycreator_pipeline.models.population import Population

HIDDEN = [64, 64]
BAR_AGENTS = 16
CALLS = {5: 60, 16: 40, 64: 10}  # training steps an agent a round


def compare(agents: int, rounds: int) -> tuple[float, float]:
    """Return the microseconds of a training step of one agent: in company, and alone.

    Raises
    ------
    RuntimeError
        If an agent's weights or moments are not the same bits in the end.
    """
    hyperparameters = {**SETTINGS, "hidden_layers": HIDDEN}
    population = Population(
        [{"seed": seed, "hyperparameters": hyperparameters} for seed in range(agents)]
    )
    population.build((N_INPUTS,), (N_ACTIONS,))
    for agent in population.agents:
        fill(agent)
    alone = [new_dqn(HIDDEN, seed=seed) for seed in range(agents)]
    calls = CALLS[agents]
    runs = [repeated(dqn.train_step, calls) for dqn in alone]

    def one_after_the_other() -> None:
        for training in runs:
            training()

    segments = {
        "together": repeated(population.train_step, calls),
        "alone": one_after_the_other,
    }
    interleaved(segments, 2)  # warms up
    seconds = interleaved(segments, rounds)
    for k, dqn in enumerate(alone):
        theirs = population.agents[k].state()[0]
        for name, array in dqn.state()[0].items():
            if not np.array_equal(array, theirs[name]):
                raise RuntimeError(f"agent {k} of {agents}: {name} is not what it is alone")
    return tuple(seconds[name] / agents / calls * 1e6 for name in segments)  # type: ignore[return-value]


def main(quick: bool = False) -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    pin()
    lines = [
        "## Populations",
        "",
        "Training steps of one agent, 10-64-64-3, double DQN, Adam, batch 32, each with its own "
        "seed and replay, on one processor; medians of interleaved rounds. Every agent's weights "
        "and moments are the same bits in both, which is checked at the end of the measurement.",
        "",
        "| agents | in a population, us | one after the other, us | throughput |",
        "|---:|---:|---:|---:|",
    ]
    bars = []
    for agents in CALLS:
        together, alone = compare(agents, 2 if quick else 15)
        ratio = alone / together
        lines.append(f"| {agents} | {together:.0f} | {alone:.0f} | {ratio:.2f}x |")
        if agents == BAR_AGENTS:
            text = f"a population of {agents} has at least 2x the throughput: {ratio:.2f}x"
            bars.append(bar(ratio >= 2, text))
    return [*lines, "", *bars]


if __name__ == "__main__":
    run(main)
