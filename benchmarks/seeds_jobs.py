"""The jobs of `benchmarks.search_speed`; in a module, as workers have to import them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.steps import N_ACTIONS, N_INPUTS, SETTINGS, fill, new_dqn
from reinforcestrategycreator_pipeline.experiments.jobs import Report
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.models.population import Population
from reinforcestrategycreator_pipeline.storage.tensor_files import write_tensors

HIDDEN = [64, 64]


@dataclass(frozen=True)
class Seeds:
    """Train a DQN with each of some seeds: all together, or one after the other."""

    name: str
    folder: Path
    seeds: tuple[int, ...]
    steps: int
    together: bool

    @property
    def result(self) -> Path:
        return self.folder / self.name

    def done(self) -> bool:
        return self.result.is_file()

    def run(self, report: Report) -> None:
        agents = self._together() if self.together else [self._alone(seed) for seed in self.seeds]
        tensors = {
            f"{seed}.{name}": array
            for seed, agent in zip(self.seeds, agents, strict=True)
            for name, array in agent.q_network["weights"].items()
        }
        write_tensors(self.result, tensors, {})

    def _together(self) -> list[DQN]:
        hyperparameters = {**SETTINGS, "hidden_layers": HIDDEN}
        population = Population(
            [{"seed": seed, "hyperparameters": hyperparameters} for seed in self.seeds]
        )
        population.build((N_INPUTS,), (N_ACTIONS,))
        for agent in population.agents:
            fill(agent)
        for _ in range(self.steps):
            population.train_step()
        return list(population.agents)

    def _alone(self, seed: int) -> DQN:
        dqn = new_dqn(HIDDEN, seed=seed)
        for _ in range(self.steps):
            dqn.train_step()
        return dqn
