"""Several agents on Gymnasium tasks of their own, each step of training taken together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from reinforcestrategycreator_pipeline.checks import require_int
from reinforcestrategycreator_pipeline.interrupts import deferred_interrupts
from reinforcestrategycreator_pipeline.models.gym.collectors import OWNER, task_of
from reinforcestrategycreator_pipeline.models.gym.loop import make_collector
from reinforcestrategycreator_pipeline.models.gym.rounds import LearningResult, Loop


def learn_together(
    agents: Sequence[Any], envs: Sequence[Any], total_steps: int, train_all: Callable[[], Any]
) -> list[LearningResult]:
    """Do what `gym_loop.learn` does for each agent alone, and to its bits.

    Parameters
    ----------
    agents : sequence of DQN
        Built.
    envs : sequence of gymnasium.Env or gymnasium.vector.VectorEnv
        One an agent.
    total_steps : int
        Environment steps an agent.
    train_all : callable
        Does one training step of every agent.

    Raises
    ------
    ConfigError
        What `gym_loop.learn` refuses.
    KeyboardInterrupt
        On Ctrl-C or SIGTERM, between two training steps.
    """
    require_int(OWNER, "total_steps", total_steps, 0)
    loops = []
    for agent, env in zip(agents, envs, strict=True):
        collector = make_collector(agent, env, task_of(env), total_steps)
        loops.append(Loop(agent, collector, total_steps))
        collector.start(agent.config.seed)
    try:
        with deferred_interrupts() as stop:
            while True:
                due = [loop.due() for loop in loops]
                # Episodes that end at different times fill replays of n-step windows, and count
                # steps in vectors, at different speeds: one agent's turn may be another's wait.
                together = min(due)
                for _ in range(together):
                    if stop:
                        raise KeyboardInterrupt
                    train_all()
                for loop, steps in zip(loops, due, strict=True):
                    for _ in range(steps - together):
                        loop.model.train_step()
                    loop.done(steps)
                if stop:
                    raise KeyboardInterrupt
                # Vectors of environments count no step for a reset: some may be done before others.
                running = [loop for loop in loops if loop.collector.steps < total_steps]
                if not running:
                    return [loop.result() for loop in loops]
                for loop in running:
                    loop.collect()
    finally:
        for loop in loops:
            loop.collector.release()
