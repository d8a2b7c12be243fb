"""Training of an ensemble on the exogenous market: first to see what matters, then to use it.

Every agent learns the values of afterstates (`envs.afterstates`) from the outcomes of all targets,
on its own block bootstrap of time, less the drift of its bars that may be chance. A first ensemble,
hardly regularized, sees all features; those on whose effect its agents do not agree are shrunk,
most of them to nothing (`policies.relevance`). A second, strongly regularized one is trained on
what is left.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F32, F64, Ints
from reinforcestrategycreator_pipeline.checks import Ge, Gt, Le, Len, Strict
from reinforcestrategycreator_pipeline.envs.afterstates import Afterstates
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.interrupts import deferred_interrupts
from reinforcestrategycreator_pipeline.limits import Steps, Together
from reinforcestrategycreator_pipeline.models.implementations.dqn import (
    DQNConfig,
    DQNHyperparameters,
)
from reinforcestrategycreator_pipeline.models.implementations.dqn_config import (
    MAX_LEARNING_RATE,
    NotNegative,
    Units,
)
from reinforcestrategycreator_pipeline.models.loops import require_same
from reinforcestrategycreator_pipeline.models.population import Population
from reinforcestrategycreator_pipeline.nn.network import apply
from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork
from reinforcestrategycreator_pipeline.policies.relevance import agreement, shrunk, threshold_for
from reinforcestrategycreator_pipeline.replay.batch import Batch
from reinforcestrategycreator_pipeline.replay.store import part
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.statistics.block_bootstrap import block_counts
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore
from reinforcestrategycreator_pipeline.storage.tensor_files import tensors_sha256

FORMAT = "ensemble/1"
FEWEST_BLOCKS = 8
"""A series is divided into at least so many blocks on average, however long a block should be."""
NS_PER_DAY = 86_400 * 10**9
LOG_INTERVAL = 100
SCREENING, DECIDING = "screening", "deciding"
DECAY_TIMES = 3_000
DRIFT = 4.0
"""Agreement up to which the drift of the bars is put down to chance: 2 standard deviations."""
Row = dict[str, float | None]


@dataclass(frozen=True)
class EnsembleTraining(Strict):
    """Size of an ensemble, and how it is trained.

    Attributes
    ----------
    agents : int
        Number of agents, 2 to 1,000.
    hidden_layers : tuple of int
        Units of each hidden layer of an agent's network.
    learning_rate : float
        Learning rate of AdamW.
    gamma : float
        Discount per bar: 1 / (1 - gamma) bars are looked ahead.
    batch_size : int
        Bars per agent and training step; the outcomes of all targets on them are learned from.
    value_interval : int
        Training steps between two evaluations of the target networks.
    block_days : float
        Mean length, in days, of the blocks of time of which an agent's sample consists; blocks are
        shortened if the data have fewer than 8 of them.
    screening_steps, screening_weight_decay : int, float
        Training steps and weight decay of the agents that find out which features matter.
    caution : float
        Factor of the agreement that a feature needs, >= 0; with 0, all features are kept as they
        are, and the agents that would judge them are not trained.
    steps, weight_decay : int, float
        Training steps and weight decay of the agents that decide. With more than 3,000 distinct
        times of bars, the decay is multiplied by the root of 3,000 over their number: the more
        data, the less has to be held back.
    checkpoint_interval : int
        Training steps between two checkpoints.
    """

    agents: Annotated[int, Ge(2), Le(1_000)] = 16
    hidden_layers: Annotated[tuple[Units, ...], Len(1, max_length=100)] = (32, 32)
    learning_rate: Annotated[float, Gt(0), Le(MAX_LEARNING_RATE)] = 3e-4
    gamma: Annotated[float, Ge(0), Le(1)] = 0.9
    batch_size: Together = 128
    value_interval: Steps = 200
    block_days: Annotated[float, Gt(0), Le(1e5)] = 63.0
    screening_steps: Steps = 3_000
    screening_weight_decay: NotNegative = 0.5
    caution: Annotated[float, Ge(0), Le(1e3)] = 1.0
    steps: Steps = 3_000
    weight_decay: NotNegative = 2.0
    checkpoint_interval: Steps = 2_000

    @property
    def stages(self) -> tuple[tuple[str, int, float], ...]:
        """Name, steps, and weight decay of each ensemble that is trained."""
        deciding = (DECIDING, self.steps, self.weight_decay)
        if self.caution == 0.0:
            return (deciding,)
        return (SCREENING, self.screening_steps, self.screening_weight_decay), deciding

    @property
    def drawn_at_once(self) -> int:
        """Bars that are drawn for an agent at once: those until its next target networks."""
        longest = max(steps for _, steps, _ in self.stages)
        return min(self.value_interval, longest) * self.batch_size

    @property
    def total_steps(self) -> int:
        """Training steps of all stages."""
        return sum(steps for _, steps, _ in self.stages)

    def hyperparameters(self, weight_decay: float) -> DQNHyperparameters:
        """Return those of each agent."""
        return DQNHyperparameters(
            hidden_layers=self.hidden_layers,
            learning_rate=self.learning_rate,
            weight_decay=weight_decay,
            gamma=self.gamma,
            batch_size=self.batch_size,
            buffer_size=self.batch_size,  # the agents' own replays stay empty
            target_update_interval=self.value_interval,
            double_dqn=False,
            log_interval=LOG_INTERVAL,
        )


@dataclass(frozen=True)
class EnsembleResult:
    """Result of a training.

    Attributes
    ----------
    networks : tuple of PolicyNetwork
        One network per agent, from scaled features to the values of afterstates, in scaled rewards;
        empty if no feature matters.
    relevance : ndarray of float64, shape (F,)
        Factor of each feature, in [0, 1]; already part of the networks.
    afterstates : Afterstates
        Parts of the training market's rewards.
    agreement : ndarray of float64, shape (F,) or (0,)
        Agreement of the screening agents on each feature; empty if there were none.
    threshold : float
        Agreement up to which the effect of a feature is put down to chance.
    drift : ndarray of float64, shape (n,)
        What the drift on which the agents agree adds to a bar's scaled reward, by target.
    stages : dict of str to int
        Last step of each stage that was trained, by its name.
    history : list of dict
        One row per logged step.
    steps : int
        Training steps of each agent, over all stages.
    """

    networks: tuple[PolicyNetwork, ...]
    relevance: F64
    afterstates: Afterstates
    agreement: F64
    threshold: float
    drift: F64
    stages: dict[str, int]
    history: list[Row]
    steps: int


@dataclass
class Progress:
    """State of a training besides its agents; JSON-serializable.

    Attributes
    ----------
    stage, step : int
        Index of the stage, and training steps done in it.
    relevance : list of float
        Factor of each feature that the stages before found.
    agreement : list of float
        Agreement on each feature, from which the factor follows; empty if it is not known.
    history : list of dict
        Rows logged so far.
    loss_sum, loss_count : float, int
        Sum and number of the losses since the last row.
    """

    stage: int = 0
    step: int = 0
    relevance: list[float] = field(default_factory=list)
    agreement: list[float] = field(default_factory=list)
    history: list[Row] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_count: int = 0


class EnsembleTrainer:
    """Training loop of an ensemble on the exogenous market.

    Parameters
    ----------
    market : ExogenousMarket
        All bars to learn from.
    config : EnsembleTraining
        Settings of the training.
    seeds : Seeds
        Source of all random numbers. Agent k draws the same, however many others there are.
    store : CheckpointStore, optional
        Store for checkpoints; by default none are written.
    on_row : callable, optional
        Called with every new row of the history; its ``step`` counts over all stages.
    """

    def __init__(
        self,
        market: ExogenousMarket,
        config: EnsembleTraining,
        seeds: Seeds,
        store: CheckpointStore | None = None,
        on_row: Callable[[Row], None] | None = None,
    ) -> None:
        self.market, self.config, self.store, self.on_row = market, config, store, on_row
        self.afterstates = Afterstates(market)
        self.seeds = [seeds.within(f"agent {k}") for k in range(config.agents)]
        self._rng = seeds.within("relevance").generator("bars")
        times, self._pools = self._samples()
        self.threshold = config.caution * threshold_for(times)
        self._decay = min(1.0, math.sqrt(DECAY_TIMES / times))
        self.drift, self._by_chance = self._drifts()
        settings: dict[str, Any] = dataclasses.asdict(replace(config, checkpoint_interval=1))
        settings["hidden_layers"] = list(config.hidden_layers)  # as JSON gives it back
        self._identity = {
            "data": tensors_sha256({"features": market.features, "rewards": market.rewards}),
            "training": settings,
            "seed": [seeds.seed, seeds.scope],
        }
        self.progress = Progress(relevance=[1.0] * market.features.shape[1])
        self._clock = (time.perf_counter(), 0)
        self._enter()

    def _samples(self) -> tuple[int, list[Ints]]:
        """Return the number of distinct decision times, and the rows of each agent's sample."""
        market = self.market
        stamps = np.concatenate([asset.times for asset in market.assets])[market.decision_rows]
        times, place = np.unique(stamps, return_inverse=True)
        spacing = max(float(np.median(np.diff(times))), 1.0) if len(times) > 1 else NS_PER_DAY
        block = self.config.block_days * NS_PER_DAY / spacing
        block = max(1.0, min(block, len(times) / FEWEST_BLOCKS))
        pools = []
        for seeds in self.seeds:
            counts = block_counts(seeds.generator("blocks"), len(times), block)
            pools.append(np.repeat(market.decision_rows, counts[place]))
        return len(times), pools

    def _drifts(self) -> tuple[F64, F32]:
        """Return what a bar's drift is worth by target, and what each agent's sample has by chance.

        The drift of a sample is mostly an accident of its bars, and every agent would learn it as
        what a target is worth whatever the features are. As far as the agents do not agree on it
        (`shrunk`), it is taken from all that they learn from.

        Returns
        -------
        ndarray of float64, shape (n,)
            The drift that is left in a bar's reward, the mean over the agents.
        ndarray of float32, shape (2, K, n)
            What is taken from the rewards of the gap, and of what is held.
        """
        parts = self.afterstates
        found = np.stack(
            [
                [part.take(pool, axis=0).mean(axis=0, dtype=np.float64) for pool in pools]
                for part, pools in (
                    (parts.drift_gap, [pool + 1 for pool in self._pools]),
                    (parts.drift_held, self._pools),
                )
            ]
        )
        whole = found.sum(axis=0)
        mean, variance = whole.mean(axis=0), whole.var(axis=0, ddof=1)
        ratio = np.divide(mean**2, variance, out=np.zeros_like(mean), where=variance > 0.0)
        real = shrunk(ratio, DRIFT)
        return real * mean, ((1.0 - real) * found).astype(np.float32)

    @property
    def step(self) -> int:
        """Training steps done, over all stages."""
        done = sum(steps for _, steps, _ in self.config.stages[: self.progress.stage])
        return done + self.progress.step

    def _enter(self) -> None:
        """Make new agents for the stage at hand."""
        name, _, weight_decay = self.config.stages[self.progress.stage]
        if name == DECIDING:
            weight_decay *= self._decay
        hyperparameters = self.config.hyperparameters(weight_decay)
        self.population = Population(
            [DQNConfig(hyperparameters, seeds.within(name).integer()) for seeds in self.seeds]
        )
        market = self.market
        self.population.build((market.features.shape[1],), (market.n_positions,))
        self._features: F32 = market.features * np.array(self.progress.relevance, np.float32)
        self._interval: int | None = None
        self._ended = np.ones((len(self.seeds), self.config.batch_size, market.n_positions), bool)

    def run(self) -> EnsembleResult:
        """Train to the end.

        Raises
        ------
        NonFiniteError, DivergenceError
            If the numbers of an agent are not finite, or diverge.
        KeyboardInterrupt
            On Ctrl-C or SIGTERM, after writing a checkpoint.
        """
        progress, stages = self.progress, self.config.stages
        with deferred_interrupts() as stop:
            while not stop:
                if progress.step < stages[progress.stage][1]:
                    self._learn()
                    if self.step % self.config.checkpoint_interval == 0:
                        self.save()
                elif progress.stage == len(stages) - 1:
                    return self._result()
                else:
                    self._screen()
                    if not any(progress.relevance):
                        return self._result()
                    progress.stage, progress.step = progress.stage + 1, 0
                    self._enter()
            self.save()
            raise KeyboardInterrupt

    def _learn(self) -> None:
        """Make one training step of every agent."""
        config, progress = self.config, self.progress
        interval, place = divmod(progress.step, config.value_interval)
        if interval != self._interval:
            self._draw(interval)
        rows, picks = self._rows[place], self._picks[place]
        batch = Batch(
            self._features.take(rows, axis=0),
            None,
            self._returns.take(picks, axis=0),
            None,
            self._ended,
        )
        losses = self.population.train_on(batch)
        for error in self.population.stopped.values():
            raise error
        progress.loss_sum += float(losses.mean())
        progress.loss_count += 1
        progress.step += 1
        if progress.step % LOG_INTERVAL == 0:
            self._log()

    def _draw(self, interval: int) -> None:
        """Draw the bars of the next steps of every agent, and compute the returns to learn there.

        The target networks change only between two intervals, so one evaluation serves many steps:
        on all bars, or on those that are drawn if these are fewer.
        """
        config, (stage, steps, _) = self.config, self.config.stages[self.progress.stage]
        left = steps - interval * config.value_interval
        shape = (min(config.value_interval, left), config.batch_size)
        everything = np.arange(len(self._features) - 1)
        rows, picks, returns, first = [], [], [], 0
        for k, pool in enumerate(self._pools):
            rng = self.seeds[k].within(stage).generator(f"bars of interval {interval}")
            drawn = pool[rng.integers(len(pool), size=shape)]
            needed, pick = everything, drawn
            if drawn.size < len(everything):
                needed, inverse = np.unique(drawn, return_inverse=True)
                pick = inverse.reshape(shape)
            # Before the first evaluation, the networks know nothing: only the next bar counts.
            gamma = config.gamma if interval else 0.0
            rows.append(drawn)
            picks.append(pick + first)
            returns.append(self._returns_of(k, needed, gamma))
            first += len(needed)
        self._rows, self._picks = np.stack(rows, axis=1), np.stack(picks, axis=1)  # by step
        self._returns = np.concatenate(returns)
        self._interval = interval

    def _returns_of(self, k: int, rows: Ints, gamma: float) -> F32:
        """Return what agent k is to learn at some rows that have a next one, shape (R, n)."""
        agent = self.population.agents[k]
        values: F32 = np.zeros((len(rows), self.market.n_positions), np.float32)
        if gamma:
            following = self._features.take(rows + 1, axis=0)
            values = apply(agent.spec, agent.target_network["weights"], following)[..., 0]
        gap, held = self._by_chance[:, k]
        found = self.afterstates.returns(rows, values, gamma)
        found -= held + np.float32(gamma) * gap
        return found

    def _log(self) -> None:
        progress = self.progress
        now, (then, step) = time.perf_counter(), self._clock
        self._clock = (now, self.step)
        rows = [agent.diagnostics for agent in self.population.agents]
        names = ("grad_norm", "update_norm", "q_mean", "q_max", "dead_units", "learning_rate")
        row: Row = {
            "step": self.step,
            "loss": progress.loss_sum / progress.loss_count,
            **{name: float(np.mean([r[name] for r in rows])) for name in names},
            "steps_per_second": (self.step - step) / max(now - then, 1e-9),
        }
        progress.loss_sum, progress.loss_count = 0.0, 0
        progress.history.append(row)
        if self.on_row:
            self.on_row(row)

    def _screen(self) -> None:
        """Shrink the features on whose effect the agents do not agree."""
        values = [agent.predict for agent in self.population.agents]
        rows = self._features[self.market.decision_rows]
        found = agreement(values, rows, self._rng)
        factor = shrunk(found, self.threshold)
        # The largest factor becomes 1: how strong an effect is, the second stage finds out.
        largest = factor.max()
        self.progress.relevance = (factor / largest if largest else factor).tolist()
        self.progress.agreement = found.tolist()

    def _result(self) -> EnsembleResult:
        progress = self.progress
        relevance = np.array(progress.relevance)
        networks = []
        if relevance.any():
            for agent in self.population.agents:
                network = agent.policy_network()
                first = network.weights["W0"] * relevance[:, None].astype(np.float32)
                networks.append(replace(network, weights={**network.weights, "W0": first}))
        stages, last = {}, 0
        for name, steps, _ in self.config.stages[: progress.stage + 1]:
            stages[name] = last = last + steps
        return EnsembleResult(
            tuple(networks),
            relevance,
            self.afterstates,
            np.array(progress.agreement),
            self.threshold,
            self.drift,
            stages,
            progress.history,
            self.step,
        )

    def loss_floor(self) -> float:
        """Return the loss that remains for any forecast because of the market's noise.

        It is the variance over the training bars of what the next bar adds to a return, averaged
        over the targets; see `dqn_training.MarketTrainer.loss_floor`.
        """
        rows = self.market.decision_rows
        nothing = np.zeros((len(rows), self.market.n_positions), np.float32)
        outcomes = self.afterstates.returns(rows, nothing, self.config.gamma)
        return float(outcomes.var(axis=0, dtype=np.float64).mean())

    def save(self) -> None:
        """Write a checkpoint of the complete state, if there is a store."""
        if self.store is None:
            return
        states = [agent.state() for agent in self.population.agents]
        tensors = {
            f"{k}.{name}": array for k, (own, _) in enumerate(states) for name, array in own.items()
        }
        header = {
            "format": FORMAT,
            "identity": self._identity,
            "progress": vars(self.progress),
            "agents": [header for _, header in states],
        }
        self.store.save(self.step, tensors, header)

    def resume(self) -> list[str]:
        """Continue from the newest valid checkpoint, if there is one.

        Returns
        -------
        list of str
            One sentence for each damaged checkpoint that was skipped.

        Raises
        ------
        CheckpointError
            If there are checkpoints and none is valid, or they belong to another training.
        """
        if self.store is None:
            return []
        found, skipped = self.store.load_newest()
        if found is not None:
            tensors, header = found
            require_same(self.store.folder, header, FORMAT, self._identity)
            self.progress = Progress(**header["progress"])
            self._enter()
            for k, (agent, own) in enumerate(
                zip(self.population.agents, header["agents"], strict=True)
            ):
                agent.restore(part(tensors, f"{k}."), own)
            self._clock = (time.perf_counter(), self.step)
        return skipped
