"""Several agents on separate Gymnasium environments, with joint training steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from reinforcestrategycreator_pipeline.checks import require_bool, require_int
from reinforcestrategycreator_pipeline.errors import DivergenceError, NonFiniteError
from reinforcestrategycreator_pipeline.interrupts import deferred_interrupts
from reinforcestrategycreator_pipeline.kernels import one_thread
from reinforcestrategycreator_pipeline.models.gym.collectors import (
    OWNER,
    Environment,
    TaskModel,
)
from reinforcestrategycreator_pipeline.models.gym.loop import (
    begin,
    collector_for,
    training_before,
)
from reinforcestrategycreator_pipeline.models.gym.masks import ActionMasking
from reinforcestrategycreator_pipeline.models.gym.rounds import LearningResult, Loop
from reinforcestrategycreator_pipeline.replay.stacked import require_same_masks

Alarm = NonFiniteError | DivergenceError


class Team(Protocol):
    """Agents that are trained together: a `Population`."""

    @property
    def agents(self) -> Sequence[TaskModel]:
        """The agents, already built."""
        ...

    @property
    def stopped(self) -> Mapping[int, Alarm]:
        """Agents that are no longer trained, by index, and why."""
        ...

    def train_step(self) -> object:
        """Make one training step of every agent that is not stopped."""
        ...

    def freeze(self, k: int, error: Alarm) -> None:
        """Stop agent `k`; raise `error` if no other agent is left."""


def learn_together(
    team: Team,
    envs: Sequence[Environment],
    total_steps: int,
    action_masking: ActionMasking = "auto",
    continue_training: bool = False,
) -> list[LearningResult]:
    """Train several agents, each bit-identical to `loop.learn` of that agent alone.

    Parameters
    ----------
    team : Population
        The agents; already built.
    envs : sequence of gymnasium.Env or gymnasium.vector.VectorEnv
        One environment per agent.
    total_steps : int
        Environment steps per agent, >= 0.
    action_masking : {"auto", "on", "off"}
        Whether action masks are used; see `DQN.learn`.
    continue_training : bool
        Whether the last training of every agent goes on; see `DQN.learn`.

    Returns
    -------
    list of LearningResult
        One result per agent. One that was stopped took no more steps; `alarm` says why.

    Raises
    ------
    NonFiniteError, DivergenceError
        If every agent was stopped.
    ConfigError
        If `loop.learn` would raise it for one of them, or some environments give action masks and
        others do not.
    KeyboardInterrupt
        On Ctrl-C or SIGTERM, between two training steps.
    """
    require_int(OWNER, "total_steps", total_steps, 0)
    require_bool(OWNER, "continue_training", continue_training)
    loops: list[Loop] = []
    try:
        for agent, env in zip(team.agents, envs, strict=True):
            before = training_before(agent, total_steps) if continue_training else None
            collector, fresh = collector_for(
                agent, env, total_steps, before, action_masking=action_masking
            )
            loops.append(Loop(agent, collector, total_steps))
            begin(loops[-1], before, fresh)
            agent.last_training = loops[-1]
        require_same_masks([loop.collector.masks is not None for loop in loops])
        with one_thread(), deferred_interrupts() as stop:
            while True:
                due = {k: loop.due() for k, loop in enumerate(loops) if k not in team.stopped}
                # Training steps are due at different times, because the ends of episodes affect how
                # fast n-step windows fill the replay and how steps in vectors are counted.
                together = min(due.values())
                for _ in range(together):
                    if stop:
                        raise KeyboardInterrupt
                    for k in due:
                        loops[k].done(1)
                    team.train_step()
                for k, steps in due.items():
                    for _ in range(steps - together):
                        if stop:
                            raise KeyboardInterrupt
                        loops[k].done(1)
                        if k not in team.stopped:
                            _train_alone(team, k)
                if stop:
                    raise KeyboardInterrupt
                # Resets in vectors do not count as steps, so some agents may finish before others.
                running = [
                    loop
                    for k, loop in enumerate(loops)
                    if loop.collector.steps < total_steps and k not in team.stopped
                ]
                if not running:
                    return [_result(team, k, loop) for k, loop in enumerate(loops)]
                for loop in running:
                    loop.collect()
    finally:
        for loop in loops:
            loop.collector.release()


def _train_alone(team: Team, k: int) -> None:
    try:
        team.agents[k].train_step()
    except (NonFiniteError, DivergenceError) as error:
        named = f"agent {k} of {len(team.agents)}: {error}"
        team.freeze(k, type(error)(named))


def _result(team: Team, k: int, loop: Loop) -> LearningResult:
    alarm = team.stopped.get(k)
    return replace(loop.result(), alarm=None if alarm is None else str(alarm))
