"""What Optuna proposes depends on the finished trials only, and its median ends the worse ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reinforcestrategycreator_pipeline.experiments.proposals import Proposer
from reinforcestrategycreator_pipeline.experiments.search import SearchConfig
from reinforcestrategycreator_pipeline.seeding import Seeds

SIZE = 4
SPACE = {
    "number": {"low": 0.0, "high": 10.0},
    "steps": {"low": 0.1, "high": 1.0, "step": 0.25},
    "layers": {"low": 1, "high": 64, "log": True},
    # For Python, and so for Optuna, some of these are equal.
    "choice": [1, True, 1.0, 0, False, "1", None, [1, 2], {"name": "x"}],
}


def config(**options):
    return SearchConfig(SPACE, generation=SIZE, **options)


def objective(parameters):
    return -((parameters["number"] - 3.0) ** 2) + (parameters["choice"] == [1, 2])


def study(path: Path, generations: int, again: tuple[int, ...] = (), **options):
    """Return what is proposed; before some generations, another process goes on."""
    search, journal = config(**options), path / "journal.log"
    proposer, tried = Proposer(search, Seeds(7), journal), []
    for generation in range(generations):
        if generation in again:
            proposer = Proposer(search, Seeds(7), journal)
            for number, (parameters, objectives, complete) in enumerate(tried):
                proposer.finish(number, parameters, objectives, complete)
        proposed = proposer.propose(generation, SIZE)
        stops = [proposer.stops(p, [objective(p) / 2]) for p in proposed]
        for parameters, stop in zip(proposed, stops, strict=True):
            value = objective(parameters)
            objectives = [value / 2] if stop else [value / 2, None, value]
            tried.append((parameters, objectives, not stop))
            proposer.finish(len(tried) - 1, *tried[-1])
    return tried


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_another_process_goes_on_with_the_same_proposals(tmp_path, sampler):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    whole = study(tmp_path / "a", 6, sampler=sampler)
    broken = study(tmp_path / "b", 6, again=(1, 3, 4), sampler=sampler)
    assert json.dumps(whole) == json.dumps(broken)
    assert any(not complete for *_, complete in whole)
    assert len({json.dumps(parameters) for parameters, *_ in whole}) == 24


def test_another_seed_proposes_others(tmp_path):
    first, other = (
        Proposer(config(), Seeds(seed), tmp_path / f"{seed}.log").propose(0, SIZE)
        for seed in (7, 8)
    )
    assert first != other


def test_proposals_are_in_the_space(tmp_path):
    for parameters, *_ in study(tmp_path, 6):
        assert list(parameters) == list(SPACE)
        assert 0.0 <= parameters["number"] <= 10.0
        assert parameters["steps"] in (0.1, 0.35, 0.6, 0.85)
        assert type(parameters["layers"]) is int
        assert 1 <= parameters["layers"] <= 64
        assert any(
            type(c) is type(parameters["choice"]) and c == parameters["choice"]
            for c in SPACE["choice"]
        )


def test_tpe_learns_what_random_draws_do_not(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    best = {
        sampler: sorted(
            objective(p) for p, *_ in study(tmp_path / place, 15, sampler=sampler)[-20:]
        )
        for sampler, place in (("tpe", "a"), ("random", "b"))
    }
    assert best["tpe"][10] > best["random"][10]


@pytest.mark.parametrize(("metric", "sign"), [("sharpe", 1.0), ("volatility", -1.0)])
def test_a_trial_ends_where_it_is_worse_than_the_median(tmp_path, metric, sign):
    proposer = Proposer(config(metric=metric), Seeds(7), tmp_path / "journal.log")
    parameters = proposer.propose(0, 1)[0]
    for number, value in enumerate([1.0, 2.0, 3.0, 4.0, 5.0]):
        # Fewer than five trials say nothing yet.
        assert not proposer.stops(parameters, [sign * -9.0])
        proposer.finish(number, parameters, [sign * value, sign * 10 * value], True)
    assert not proposer.stops(parameters, [sign * 3.0])
    assert proposer.stops(parameters, [sign * 2.9])
    assert proposer.stops(parameters, [sign * 2.9, sign * 2.95])  # the median is 30 now
    assert not proposer.stops(parameters, [sign * 2.9, sign * 30.0])
    assert not proposer.stops(parameters, [None])  # an undefined objective is no bad one


def test_optuna_reads_the_journal(tmp_path):
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    tried = study(tmp_path, 3, again=(1, 2))
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
    [name] = optuna.get_all_study_names(storage)
    found = optuna.load_study(study_name=name, storage=storage)
    assert len(found.trials) == len(tried)
    for trial, (parameters, objectives, complete) in zip(found.trials, tried, strict=True):
        assert trial.params["number"] == parameters["number"]
        assert trial.params["choice"] == json.dumps(parameters["choice"])
        assert trial.state.name == ("COMPLETE" if complete else "PRUNED")
        assert trial.value == objectives[-1]
    best = max((o[-1] for _, o, complete in tried if complete))
    assert found.best_value == best


@pytest.mark.parametrize("cut", [1, 20, 400])
def test_a_journal_that_a_kill_cut_off_is_written_again(tmp_path, cut):
    journal = tmp_path / "journal.log"
    tried = study(tmp_path, 2)
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-cut])
    proposer = Proposer(config(), Seeds(7), journal)
    for number, trial in enumerate(tried):
        proposer.finish(number, *trial)
    assert journal.read_bytes().count(b"\n") == whole.count(b"\n")


def test_what_optuna_announces_is_not_shown(tmp_path, capfd):
    study(tmp_path, 1)
    assert capfd.readouterr() == ("", "")
