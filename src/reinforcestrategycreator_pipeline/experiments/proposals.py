"""Proposals of configurations by Optuna, the same however the search was interrupted.

Every generation has a sampler of its own, whose seed is that of the run and the generation. So the
proposals depend on the finished trials and on nothing that a killed process had in its memory. The
journal is a copy for Optuna's tools; what counts are the results of the trials.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.errors import needs
from reinforcestrategycreator_pipeline.experiments.search import Listed, Range, SearchConfig
from reinforcestrategycreator_pipeline.seeding import Seeds


def require_optuna() -> None:
    """Require the extra ``search``.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    with needs("search", "a search"):
        import optuna  # noqa: F401


class Proposer:
    """The finished trials of a study, and what to try next.

    Parameters
    ----------
    search : SearchConfig
        Space, metric and sampler.
    seeds : Seeds
        Random numbers of the study.
    journal : Path
        Journal file, which a later process brings up to date.
    """

    def __init__(self, search: SearchConfig, seeds: Seeds, journal: Path) -> None:
        require_optuna()
        import optuna

        self._search, self._seeds = search, seeds
        self._space = {key: _distribution(given) for key, given in search.space.items()}
        self._asked: dict[int, Any] = {}
        self._pruner = optuna.pruners.MedianPruner()
        kinds = optuna.study.StudyDirection
        direction = kinds.MAXIMIZE if search.maximizes else kinds.MINIMIZE
        with _quiet():
            self._study = optuna.create_study(direction=direction)
            self._written, known = _open_journal(journal, direction)
        self._known = known

    @property
    def finished(self) -> int:
        """Number of finished trials."""
        return len(self._study.get_trials(deepcopy=False)) - len(self._asked)

    def propose(self, generation: int, size: int) -> list[dict[str, Any]]:
        """Return the parameters of the next trials, key to value.

        Parameters
        ----------
        generation : int
            Number of the generation, from 0; all trials of the earlier ones are finished.
        size : int
            Number of trials.
        """
        import optuna

        rng = self._seeds.within(f"generation {generation}").generator("sampler")
        kind = optuna.samplers.TPESampler
        made = kind if self._search.sampler == "tpe" else optuna.samplers.RandomSampler
        self._study.sampler = made(seed=int(rng.integers(2**32)))
        asked = [self._study.ask(self._space) for _ in range(size)]
        self._asked = {trial.number: trial for trial in asked}
        return [
            {key: self._value(key, trial.params[key]) for key in self._space} for trial in asked
        ]

    def stops(self, parameters: Mapping[str, Any], objectives: Sequence[float | None]) -> bool:
        """Return whether a trial is worse than the median of the finished ones.

        Parameters
        ----------
        parameters : mapping of str to value
            Parameters of the trial.
        objectives : sequence of float or None
            Objective after each inner window so far; None where it is undefined.
        """
        import optuna

        trial = self._frozen(parameters, objectives, optuna.trial.TrialState.RUNNING)
        return bool(trial.intermediate_values) and bool(self._pruner.prune(self._study, trial))

    def finish(
        self,
        number: int,
        parameters: Mapping[str, Any],
        objectives: Sequence[float | None],
        complete: bool,
    ) -> None:
        """Add a finished trial; they come in the order of their numbers.

        Parameters
        ----------
        number : int
            Number of the trial, from 0.
        parameters, objectives
            Parameters of the trial, and its objective after each inner window; see `stops`.
        complete : bool
            Whether all inner windows are among the objectives, and the last one is defined.
        """
        from optuna.trial import TrialState

        state = TrialState.COMPLETE if complete else TrialState.PRUNED
        frozen = self._frozen(parameters, objectives, state)
        if (asked := self._asked.pop(number, None)) is None:
            self._study.add_trial(frozen)
        else:
            for step, value in frozen.intermediate_values.items():
                asked.report(value, step)
            self._study.tell(asked, frozen.value if complete else None, state)
        if number >= self._known:
            self._written.add_trial(frozen)

    def _frozen(
        self, parameters: Mapping[str, Any], objectives: Sequence[float | None], state: Any
    ) -> Any:
        import optuna

        steps = {step: x for step, x in enumerate(objectives, 1) if x is not None}
        values = list(steps.values())
        return optuna.trial.create_trial(
            state=state,
            # As Optuna has it: a pruned trial has the value that it had last.
            value=values[-1] if values and state.is_finished() else None,
            params={key: self._label(key, parameters[key]) for key in self._space},
            distributions=self._space,
            intermediate_values=steps,
        )

    def _label(self, key: str, value: Any) -> Any:
        return _label(value) if isinstance(self._search.space[key], tuple) else value

    def _value(self, key: str, label: Any) -> Any:
        given = self._search.space[key]
        if not isinstance(given, tuple):
            return label
        return next(choice for choice in given if _label(choice) == label)


def _label(choice: Any) -> str:
    """Return the text by which Optuna knows a choice: for it, 1 and true would be the same."""
    return json.dumps(choice, ensure_ascii=False)


def _distribution(given: Range | Listed) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if not isinstance(given, Range):
        return CategoricalDistribution(tuple(map(_label, given)))
    low, last = given.ends
    if given.whole:
        return IntDistribution(int(low), int(last), log=given.log, step=int(given.step or 1))
    return FloatDistribution(low, last, log=given.log, step=given.step)


class _Ours:
    """No lock: the study's folder has one, which ends with the process; that of Optuna does not."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


def _open_journal(path: Path, direction: Any) -> tuple[Any, int]:
    """Return the study in the journal, and the number of its trials.

    A process that was killed may have left half a line, and then the journal is begun again.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if path.exists():
        whole = path.read_bytes()
        if whole and not whole.endswith(b"\n"):
            path.unlink()
    lock: Any = _Ours()
    storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    study = optuna.create_study(
        storage=storage, study_name=path.parent.name, direction=direction, load_if_exists=True
    )
    return study, len(study.get_trials(deepcopy=False))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from announcing a study on standard error."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
