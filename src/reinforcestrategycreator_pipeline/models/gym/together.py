"""Several agents on separate Gymnasium environments, with joint training steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reinforcestrategycreator_pipeline.checks import require_int
from reinforcestrategycreator_pipeline.interrupts import deferred_interrupts
from reinforcestrategycreator_pipeline.models.gym.collectors import (
    OWNER,
    Environment,
    TaskModel,
    task_of,
)
from reinforcestrategycreator_pipeline.models.gym.loop import make_collector
from reinforcestrategycreator_pipeline.models.gym.rounds import LearningResult, Loop


def learn_together(
    agents: Sequence[TaskModel],
    envs: Sequence[Environment],
    total_steps: int,
    train_all: Callable[[], object],
) -> list[LearningResult]:
    """Train several agents, each bit-identical to `loop.learn` of that agent alone.

    Parameters
    ----------
    agents : sequence of DQN
        The agents; already built.
    envs : sequence of gymnasium.Env or gymnasium.vector.VectorEnv
        One environment per agent.
    total_steps : int
        Environment steps per agent, >= 0.
    train_all : callable
        Function that makes one training step of every agent.

    Returns
    -------
    list of LearningResult
        One result per agent.

    Raises
    ------
    ConfigError
        If `loop.learn` would raise it for one of them.
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
                # Training steps are due at different times, because the ends of episodes affect how
                # fast n-step windows fill the replay and how steps in vectors are counted.
                together = min(due)
                for _ in range(together):
                    if stop:
                        raise KeyboardInterrupt
                    train_all()
                for loop, steps in zip(loops, due, strict=True):
                    for _ in range(steps - together):
                        if stop:
                            raise KeyboardInterrupt
                        loop.model.train_step()
                    loop.done(steps)
                if stop:
                    raise KeyboardInterrupt
                # Resets in vectors do not count as steps, so some agents may finish before others.
                running = [loop for loop in loops if loop.collector.steps < total_steps]
                if not running:
                    return [loop.result() for loop in loops]
                for loop in running:
                    loop.collect()
    finally:
        for loop in loops:
            loop.collector.release()
