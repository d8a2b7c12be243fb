"""Searches: the same trials on any engine and after any kill, none of them with a test bar."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import reinforcestrategycreator_pipeline as rsc
from reinforcestrategycreator_pipeline.errors import ConfigError, Interrupted, RunError
from reinforcestrategycreator_pipeline.experiments.trials import FinishedTrial, better
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source
from reinforcestrategycreator_pipeline.pipeline.search import trials as trial_jobs
from reinforcestrategycreator_pipeline.pipeline.search import work
from reinforcestrategycreator_pipeline.runs.folder import list_runs
from reinforcestrategycreator_pipeline.verdict.looks import LOOKS, count_looks, read_trials

SLOW = pytest.mark.slow
FEATURES = {"columns": [{"name": "returns", "horizons": [1, 2]}], "audit_cuts": 0}
SMALL: dict[str, Any] = {
    "data": {"source": "synthetic", "params": {"n_bars": 400}},
    "features": FEATURES,
    "strategy": {"name": "linear"},
    "evaluation": {"random_draws": 5},
    "split": {"windows": 2},
    "search": {
        "trials": 12,
        "space": {
            "strategy.alpha": {"low": 1e-6, "high": 1e3, "log": True},
            "features.columns.0.horizons": [[1], [2], [1, 2], [1, 5], [3, 7]],
        },
    },
}


def small(**search: Any) -> dict[str, Any]:
    return {**SMALL, "search": {**SMALL["search"], **search}}


@pytest.fixture(autouse=True)
def _kernel_of_pytest():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "NumPy was loaded before")
        yield


def tune(store: Path, config: Any = None, engine: Any = "inline", **options: Any) -> rsc.Study:
    if "resume" not in options:
        config = SMALL if config is None else config
    return rsc.tune(config, store=store, engine=engine, progress=False, **options)


def facts(study: rsc.Study) -> list[dict[str, Any]]:
    """Return all that the same search must repeat."""
    found = []
    for number in range(study.config["search"]["trials"]):
        trial = FinishedTrial.read(study.folder, number)
        found.append({**dataclasses.asdict(trial), "seconds": None} if trial else {})
    return found


def lines(study: rsc.Study) -> list[dict[str, Any]]:
    """Return the ledger's lines about a search, without what is its own."""
    store = study.folder.parent.parent
    found = [t for t in read_trials(store / LOOKS) if t.study == study.id]
    own = {"study": "", "started": "", "time": "", "returns": ""}
    return [dataclasses.asdict(dataclasses.replace(t, **own)) for t in found]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> rsc.Study:
    """A search that nothing stopped."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "NumPy was loaded before")
        return tune(tmp_path_factory.mktemp("whole"))


class TestStudy:
    def test_it_has_every_trial(self, whole):
        trials = whole.trials
        assert list(trials.index) == list(range(12))
        assert set(trials["state"]) == {"complete", "pruned"}
        assert (trials["windows"] == 3).equals(trials["state"] == "complete")
        assert whole.status == "complete"
        ranked = trials[trials["state"] == "complete"]["objective"].dropna()
        assert whole.best.number == ranked.idxmax()
        assert repr(whole).endswith("complete, 12 of 12 trials)")

    def test_the_returns_are_those_of_the_objective(self, whole):
        best = whole.best
        returns = whole.returns(best.number)
        assert np.prod(1 + returns) - 1 == pytest.approx(best.figures["total_return"], abs=1e-12)
        days = (returns.index[-1] - returns.index[0]) / pd.Timedelta("365.25D")
        sharpe = returns.mean() / returns.std() * np.sqrt((len(returns) - 1) / days)
        assert sharpe == pytest.approx(best.objective, rel=1e-6)
        assert returns.index[-1] <= pd.Timestamp(whole.record.end)

    def test_the_ledger_has_a_line_for_each(self, whole):
        found = lines(whole)
        assert [line["number"] for line in found] == list(range(12))
        store = whole.folder.parent.parent
        for line, trial in zip(read_trials(store / LOOKS), facts(whole), strict=True):
            assert line.sha256 == trial["sha256"]
            assert (store / line.returns).is_file()
            assert pd.Timestamp(line.end) <= pd.Timestamp(whole.record.end)

    def test_it_is_no_run(self, whole):
        assert list_runs(whole.folder.parent.parent) == []
        with pytest.raises(RunError, match=r"and not be .*'studies'"):
            rsc.run(SMALL, store=whole.folder.parent.parent, run_id="studies", progress=False)

    def test_nothing_of_a_finished_trial_is_kept_but_its_returns(self, whole):
        kept = {p.name for p in (whole.folder / "trials").rglob("*") if p.is_file()}
        assert kept == {"trial.json", "returns.parquet"}

    def test_it_has_a_page(self, whole):
        page = (whole.folder / "report.html").read_text("utf-8")
        assert f"<title>Search {whole.id}</title>" in page
        assert (
            page.count('data-chart="search-') == 5
        )  # two keys, both together, in order, inner windows

    def test_features_are_computed_once(self, whole):
        assert len(list((whole.folder / "markets").iterdir())) <= 5

    def test_the_newest_is_found(self, whole):
        store = whole.folder.parent.parent
        assert rsc.Study.open(store=store).id == whole.id
        with pytest.raises(RunError, match=f"Did you mean '{whole.id}'"):
            rsc.Study.open(whole.id[:-1] + "!", store=store)
        with pytest.raises(RunError, match="there are no searches"):
            rsc.Study.open(store=store / "nowhere")


class TestSame:
    @pytest.mark.parametrize("prune", [True, False])
    def test_the_engine_changes_nothing(self, tmp_path, prune):
        config = small(trials=2, generation=2, folds=2, prune=prune)
        one = tune(tmp_path / "one", config)
        other = tune(tmp_path / "other", config, {"name": "processes", "workers": 2})
        assert facts(one) == facts(other)
        assert lines(one) == lines(other)

    @pytest.mark.slow
    @pytest.mark.parametrize("workers", [1, 3])
    def test_nor_does_the_number_of_workers(self, tmp_path, whole, workers):
        other = tune(tmp_path, SMALL, {"name": "processes", "workers": workers})
        assert facts(other) == facts(whole)
        assert lines(other) == lines(whole)

    @pytest.mark.slow
    def test_a_cluster_changes_nothing_either(self, tmp_path, whole):
        ray = pytest.importorskip("ray", reason="needs the extra distributed")
        try:
            other = tune(tmp_path, small(trials=2), "ray")
        finally:
            ray.shutdown()
        assert facts(other) == facts(whole)[:2]

    def test_without_pruning_every_trial_is_complete(self, tmp_path, whole):
        other = tune(tmp_path, small(prune=False, trials=6))
        assert set(other.trials["state"]) == {"complete"}
        # Five complete trials have to be there before one ends early.
        assert facts(other)[:4] == facts(whole)[:4]

    def test_another_seed_gives_others(self, tmp_path, whole):
        other = tune(tmp_path, small(trials=4), seed=8)
        assert [t["parameters"] for t in facts(other)] != [
            t["parameters"] for t in facts(whole)[:4]
        ]

    @pytest.mark.parametrize("after", [9, *(pytest.param(n, marks=SLOW) for n in (0, 5, 17, 26))])
    def test_an_interrupted_search_goes_on(self, tmp_path, whole, after, monkeypatch):
        """Ctrl-C at the beginning of a window's fit."""
        fit, calls = trial_jobs.FitJob.run, []

        def stops(self, report):
            calls.append(self)
            if len(calls) == after + 1:
                raise KeyboardInterrupt
            fit(self, report)

        monkeypatch.setattr(trial_jobs.FitJob, "run", stops)
        with pytest.raises(Interrupted, match=r"continue with: rsc tune --resume .* --runs-dir"):
            tune(tmp_path)
        study = rsc.Study.open(store=tmp_path)
        assert study.status == "interrupted"
        study = tune(tmp_path, resume="latest")
        assert facts(study) == facts(whole)
        assert lines(study) == lines(whole)
        assert study.best.number == whole.best.number

    def test_a_finished_search_is_extended(self, tmp_path):
        """From the middle of its only generation."""
        config = {"generation": 3, "folds": 1, "space": {"strategy.alpha": [0.1, 1.0, 10.0]}}
        one = tune(tmp_path / "one", small(trials=3, **config))
        other = tune(tmp_path / "other", small(trials=2, **config))
        other = tune(tmp_path / "other", resume=other.id, trials=3)
        assert facts(other) == facts(one)
        assert lines(other) == lines(one)

    @pytest.mark.slow
    def test_a_finished_search_is_extended_to_what_it_would_have_been(self, tmp_path, whole):
        """From the middle of the second generation."""
        tune(tmp_path, small(trials=6))
        before = (tmp_path / LOOKS).read_bytes()
        study = tune(tmp_path, resume="latest", trials=12)
        assert facts(study) == facts(whole)
        assert lines(study) == lines(whole)
        assert (tmp_path / LOOKS).read_bytes().startswith(before)
        assert study.config == whole.config
        assert study.best.number == whole.best.number
        with pytest.raises(RunError, match=r"must be at least 12, as before: .* Got 11 instead"):
            tune(tmp_path, resume="latest", trials=11)

    def test_it_is_not_extended_by_an_optuna_that_proposes_others(self, tmp_path):
        study = tune(tmp_path, small(trials=1))
        path = study.folder / "generations" / "0.json"
        path.write_text(path.read_text().replace('"strategy.alpha": ', '"strategy.alpha": 1'))
        with pytest.raises(RunError, match=r"0\.json: Optuna proposes other configurations"):
            tune(tmp_path, resume="latest", trials=2)
        assert [trial["number"] for trial in lines(study)] == [0]

    @pytest.mark.parametrize(
        ("stage", "number"),
        [
            ("write", 6),
            *(
                pytest.param(stage, number, marks=SLOW)
                for stage, number in itertools.product(("append", "write", "finish"), (1, 7))
            ),
        ],
    )
    def test_a_trial_that_was_half_recorded_is_recorded_once(
        self, tmp_path, whole, stage, number, monkeypatch
    ):
        """The end of the process before or after each of the three places that know a trial."""

        class Killed(BaseException):
            pass

        owner, name = {
            "append": (work, "append"),
            "write": (FinishedTrial, "write"),
            "finish": (work.Proposer, "finish"),
        }[stage]
        before, calls = getattr(owner, name), []

        def dies(*args, **options):
            calls.append(args)
            if len(calls) == number:
                raise Killed
            return before(*args, **options)

        monkeypatch.setattr(owner, name, dies)
        with pytest.raises(Killed):
            tune(tmp_path)
        monkeypatch.setattr(owner, name, before)
        study = tune(tmp_path, resume="latest")
        assert facts(study) == facts(whole)
        assert lines(study) == lines(whole)


def seen(study: rsc.Study) -> list[dict[str, Any]]:
    """Return the lines of a search, without the hash of its configuration, which names the data."""
    return [{**line, "config": ""} for line in lines(study)]


class TestLeakage:
    def test_no_trial_sees_a_bar_from_the_first_test_bar_on(self, tmp_path):
        source = build_source(
            "synthetic", {"n_bars": 400, "kind": "ar1_signal", "symbols": ["A", "B"]}
        )
        bars = dict(source.load(np.random.default_rng(0)).bars)
        config = small(trials=5, generation=5)
        columns = [{"name": "volume_zscore"}, {"name": "column", "columns": ["signal"]}]
        config |= {"features": {"columns": columns, "audit_cuts": 2}}
        del config["data"]
        config["search"]["space"] = {
            "strategy.alpha": {"low": 0.01, "high": 100.0, "log": True},
            "features.columns.0.period": [5, 14, 30],
        }
        first = tune(tmp_path / "first", config, bars=bars)
        end = pd.Timestamp(first.record.end)
        index = bars["A"].index
        # The embargo of five bars, then the first of the 200 test bars.
        assert end == index[400 - 200 - 5 - 1]
        rng = np.random.default_rng(1)
        spoilt = {}
        for symbol, frame in bars.items():
            later = frame.index > end
            frame = frame.copy()
            factor = np.exp(rng.normal(0.0, 0.05, later.sum()))
            prices = ["open", "high", "low", "close"]
            frame.loc[later, prices] = frame.loc[later, prices].mul(factor, axis=0)
            frame.loc[later, "signal"] = rng.normal(size=later.sum())
            frame.loc[later, "volume"] *= 7.0
            spoilt[symbol] = frame
        other = tune(tmp_path / "other", config, bars=spoilt)
        assert set(first.trials["state"]) == {"complete"}
        assert seen(first) == seen(other)
        # That the check bites: one bar earlier, and everything changes.
        spoilt["A"].loc[end, "close"] *= 1.01
        spoilt["A"].loc[end, "high"] *= 1.02
        third = tune(tmp_path / "third", config, bars=spoilt)
        assert all(a != b for a, b in zip(seen(third), seen(first), strict=True))

    def test_the_test_bars_are_not_even_there(self, whole):
        bars = pd.read_parquet(whole.folder / "bars.parquet")
        assert bars["timestamp"].max() == pd.Timestamp(whole.record.end)

    def test_a_run_of_any_trial_has_its_first_test_bar_later(self, tmp_path, whole):
        worst = max(
            range(12), key=lambda n: max(whole.config_of(n)["features"]["columns"][0]["horizons"])
        )
        for number in (0, worst):
            run = rsc.run(whole.config_of(number), store=tmp_path, progress=False)
            look = run.looks[-1]
            assert pd.Timestamp(look.start) > pd.Timestamp(whole.record.end)


class TestRepeat:
    @pytest.fixture
    def store(self, whole, tmp_path):
        shutil.copytree(whole.folder.parent.parent, tmp_path / "store")
        return tmp_path / "store"

    def test_the_run_of_a_trial_names_it(self, store, whole):
        number = whole.best.number
        run = rsc.run(from_trial=whole.name_of(number), store=store, progress=False)
        assert run.manifest.trial == f"{whole.id}/{number}" == run.looks[-1].trial
        assert run.config == whole.config_of(number)
        assert count_looks(run.folder).trials == 12
        assert "12 configurations were tried by a search" in (
            run.folder / "evaluation" / "report.md"
        ).read_text(encoding="utf-8")
        page = (run.folder / "evaluation" / "report.html").read_text("utf-8")
        [link] = re.findall(r'<a href="(\.\.[^"]*)"', page)
        assert (
            (run.folder / "evaluation" / link)
            .resolve()
            .samefile(store / "studies" / whole.id / "report.html")
        )
        assert not [p for p in (store / "studies" / whole.id).iterdir() if p.name[0] == "." and
                    p.suffix == ".tmp"]  # fmt: skip

    def test_a_pruned_trial_can_be_repeated_by_its_number_alone(self, store, whole):
        pruned = whole.trials.index[whole.trials["state"] == "pruned"][0]
        run = rsc.run(from_trial=int(pruned), store=store, progress=False)
        assert run.manifest.trial == f"{whole.id}/{pruned}"

    def test_other_returns_than_those_of_the_ledger_are_refused(self, store, whole):
        path = store / LOOKS
        changed = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        changed[2]["sha256"] = "0" * 64
        path.write_text("".join(json.dumps(line) + "\n" for line in changed))
        with pytest.raises(
            RunError, match=r"trial .*/2 does not repeat: .* but 000000000000\.\.\."
        ):
            rsc.run(from_trial=2, store=store, progress=False)
        assert list_runs(store) == []

    def test_so_is_a_record_that_was_edited(self, store, whole):
        path = store / "studies" / whole.id / "trials" / "2" / "trial.json"
        record = json.loads(path.read_text("utf-8"))
        record["parameters"]["strategy.alpha"] = (
            1e3 if record["parameters"]["strategy.alpha"] < 1 else 1e-6
        )
        record["parameters"]["features.columns.0.horizons"] = [4]
        path.write_text(json.dumps(record))
        with pytest.raises(RunError, match="does not repeat"):
            rsc.run(from_trial=2, store=store, progress=False)

    def test_what_cannot_be_repeated_says_why(self, store, whole):
        for name, said in (
            (99, "is not finished, or there is none"),
            ("x", "must be given as STUDY/NUMBER"),
            ("nowhere/1", "no search named 'nowhere'"),
        ):
            with pytest.raises(RunError, match=said):
                rsc.run(from_trial=name, store=store, progress=False)
        with pytest.raises(RunError, match="pass no other"):
            rsc.run(SMALL, from_trial=1, store=store, progress=False)
        (store / LOOKS).unlink()
        with pytest.raises(RunError, match="has no line about the trial"):
            rsc.run(from_trial=1, store=store, progress=False)

    def test_damaged_bars_are_seen(self, store, whole):
        path = store / "studies" / whole.id / "bars.parquet"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(RunError, match=r"bars\.parquet: is missing, edited or damaged"):
            rsc.run(from_trial=1, store=store, progress=False)
        with pytest.raises(RunError, match=r"bars\.parquet: is missing, edited or damaged"):
            tune(store, resume="latest")


def test_run_searches_and_runs_the_best(tmp_path):
    run = rsc.run(small(trials=3), store=tmp_path, progress=False, run_id="mine", engine="inline")
    study = rsc.Study.open(store=tmp_path)
    assert run.id == "mine"
    assert run.manifest.trial == study.name_of(study.best.number)
    assert run.config == study.config_of(study.best.number)
    with pytest.raises(RunError, match="the run 'mine' already exists"):
        rsc.run(small(trials=3), store=tmp_path, progress=False, run_id="mine")
    assert len(list((tmp_path / "studies").iterdir())) == 1  # it was said before the search


def test_a_run_goes_on_with_its_search_that_was_extended_meanwhile(tmp_path, monkeypatch):
    """Ctrl-C in the search; its trials are finished, and one more; then the run goes on."""
    config = small(trials=2, folds=1, space={"strategy.alpha": [0.1, 1.0, 10.0, 100.0]})
    options: dict[str, Any] = {"store": tmp_path, "progress": False, "engine": "inline"}
    fit, calls = trial_jobs.FitJob.run, []

    def stops(self, report):
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        fit(self, report)

    monkeypatch.setattr(trial_jobs.FitJob, "run", stops)
    with pytest.raises(Interrupted, match=r"^interrupted in the search; .* rsc run --resume mine"):
        rsc.run(config, run_id="mine", **options)
    found = rsc.Run.open("mine", tmp_path)
    assert (found.manifest.status, found.manifest.trial) == ("interrupted", "")
    study = tune(tmp_path, resume=found.manifest.study, trials=3)
    assert list(study.trials.index) == [0, 1, 2]
    run = rsc.run(resume="mine", **options)
    assert run.manifest.status == "complete"
    assert run.manifest.trial == study.name_of(study.best.number)
    assert run.config == study.config_of(study.best.number)
    assert len(lines(study)) == 3
    again = rsc.run(resume="mine", overrides={"evaluation.random_draws": 6}, **options)
    assert again.unchanged == ("data_ingestion", "feature_engineering", "training")
    with pytest.raises(RunError, match="'mine' keeps the search with which it began"):
        rsc.run(resume="mine", overrides={"search.space.strategy.alpha": [1.0, 2.0]}, **options)


class TestFailures:
    def test_a_trial_that_cannot_be_done_is_recorded_and_the_search_goes_on(self, tmp_path):
        space = {"features.columns.0.horizons": [[1], [2], [190], [3]]}
        study = tune(tmp_path, small(trials=12, space=space))
        failed = study.trials[study.trials["state"] == "failed"]
        assert 0 < len(failed) < 12
        assert all(
            "inner windows: " in text and "bars are needed" in text for text in failed["error"]
        )
        assert [line["state"] for line in lines(study)].count("failed") == len(failed)
        with pytest.raises(RunError, match="failed, so it cannot be run"):
            rsc.run(from_trial=int(failed.index[0]), store=tmp_path, progress=False)

    def test_parameters_that_do_not_go_together_fail_alone(self, tmp_path):
        space = {
            "strategy": [{"name": "moving_average_crossover", "fast": 5}],
            "strategy.fast": [5, 10, 30],
            "strategy.slow": [20, 40],
        }
        study = tune(tmp_path, small(trials=8, space=space))
        bad = [
            t["parameters"]["strategy.fast"] >= t["parameters"]["strategy.slow"]
            for t in facts(study)
        ]
        assert any(bad)
        assert [t["state"] == "failed" for t in facts(study)] == bad

    def test_if_all_of_the_first_fail_the_search_ends(self, tmp_path):
        space = {"features.columns.0.horizons": [[185], [190]]}
        with pytest.raises(
            ConfigError, match=r"all of the first 4 trials of the search failed; .*need"
        ):
            tune(tmp_path, small(space=space))
        assert rsc.Study.open(store=tmp_path).status == "failed"
        assert not (tmp_path / LOOKS).exists()

    def test_an_undefined_objective_is_worse_than_any(self, tmp_path):
        space = {"strategy": ["flat", "buy_and_hold"]}
        study = tune(tmp_path, small(trials=4, space=space))
        assert study.best.parameters == {"strategy": "buy_and_hold"}
        flat = [t for t in facts(study) if t["parameters"]["strategy"] == "flat"]
        assert flat
        assert all(t["objectives"] == (None,) * 3 for t in flat)

    def test_none_defined_leaves_nothing_to_run(self, tmp_path):
        config = small(trials=2, space={"strategy": ["flat"]})
        with pytest.raises(RunError, match="its sharpe is undefined"):
            rsc.run(config, store=tmp_path, progress=False, engine="inline")

    def test_a_configuration_without_a_search(self, tmp_path):
        with pytest.raises(ConfigError, match=r"has no search\. Say what to vary"):
            rsc.tune({"seed": 1}, store=tmp_path)
        with pytest.raises(RunError, match="pass no other"):
            rsc.tune(SMALL, resume="latest", store=tmp_path)


def finished(number, objective, state="complete"):
    return FinishedTrial(number, state, {}, "", (objective,), {}, "", "", 0.0)


def test_the_better_trial():
    best = None
    for trial in (
        finished(0, None),
        finished(1, 1.0),
        finished(2, 9.0, "pruned"),
        finished(3, 2.0),
        finished(4, 2.0),
        finished(5, -1.0),
    ):
        best = better(trial, best, maximizes=True)
    assert best.number == 3
    assert better(finished(5, -1.0), best, maximizes=False).number == 5
    assert better(finished(0, None), None, maximizes=True) is None
