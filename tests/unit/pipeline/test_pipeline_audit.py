"""The audit of training, decisions and fills finds strategies that know the future."""

import json
from dataclasses import replace

import audited_strategies
import numpy as np
import pytest

from reinforcestrategycreator_pipeline import feature
from reinforcestrategycreator_pipeline.experiments.jobs import Report
from reinforcestrategycreator_pipeline.features.foresight import (
    copied_from,
    share_of_later_returns,
)
from reinforcestrategycreator_pipeline.market.bars import MarketData, write_bars
from reinforcestrategycreator_pipeline.pipeline.auditing import decisions
from reinforcestrategycreator_pipeline.pipeline.auditing.fit_job import compared, fit_jobs
from reinforcestrategycreator_pipeline.pipeline.auditing.outcome import AuditOutcome, Fault, Proof
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars

BARS = make_bars(240, seed=4)
BARS.index = BARS.index.as_unit("ns")


@pytest.fixture
def audited(tmp_path, monkeypatch):
    """Audit a strategy as `rsc audit` does, but with every fit in this process."""
    path = tmp_path / "bars.parquet"
    write_bars(path, MarketData({"ACME": BARS}, 86_400.0))
    monkeypatch.chdir(tmp_path)

    def audit(strategy, column=None):
        column = column or {"name": "returns", "horizons": [1]}
        config = {
            "seed": 7,
            "imports": [],
            "features": {"columns": [column]},
            "split": {"kind": "single", "embargo_bars": 0},
            "trading": {},
            "strategy": strategy,
        }

        def result(job):
            job.run(Report(lambda event: None))
            return json.loads(job.results.read_text())

        first = result(fit_jobs(config, path, tmp_path, {}, 5.0)[0])
        if not first["artifacts"]:
            return AuditOutcome.merged([first], 0.0)
        others = [result(job) for job in fit_jobs(config, path, tmp_path, first["ends"], 0.0)]
        return AuditOutcome.merged([first, others[0], compared(first, *others)], 0.0)

    return audit


def checks(found):
    return {fault.check for fault in found.faults}


@pytest.mark.parametrize("strategy", ["audited_strategies:Honest", "linear"])
def test_a_sound_strategy_is_proved_at_every_bar(audited, strategy):
    found = audited(strategy)
    assert found.faults == ()
    proofs = {proof.check: proof for proof in found.proofs}
    assert set(proofs) == {"stream", "fills", "training"}
    assert all(proof.complete for proof in proofs.values())
    assert "other training bars change features, policy" in proofs["training"].how
    assert found.proved


@pytest.mark.parametrize("name", ["ScalesTheBatch", "ReadsTheNextRow"])
def test_decisions_from_later_rows_are_found(audited, name):
    found = audited(f"audited_strategies:{name}")
    assert checks(found) == {"stream", "fills"}
    stream, _ = sorted(found.faults, key=lambda fault: fault.check != "stream")
    assert {stream.before, stream.after} == {0.0, 1.0}
    assert stream.symbol == "ACME"


def test_a_file_that_a_strategy_reads_is_found(audited, tmp_path):
    (tmp_path / "later.csv").write_text("0.1\n-0.2\n0.05\n")
    found = audited("audited_strategies:ReadsTheFile")
    (fault,) = found.faults
    assert (fault.check, "later.csv" in fault.text) == ("files", True)


def test_a_strategy_that_cannot_be_fitted_is_not_proved(audited):
    audited_strategies.KEPT.clear()
    name = "audited_strategies:UsesWhatAFeatureKept"
    found = audited(name)
    assert (found.passed, found.proved) == (True, False)
    assert found.notes[0].startswith(f"strategy {name} is not audited")


def test_training_on_what_a_feature_kept_of_all_bars_is_found(audited, monkeypatch):
    @feature
    def keeps(bars):
        out = np.diff(np.log(bars["close"]), prepend=np.nan)
        audited_strategies.KEPT["all"] = np.nan_to_num(out)
        return out

    monkeypatch.setattr(audited_strategies, "keeps", keeps, raising=False)
    found = audited("audited_strategies:UsesWhatAFeatureKept", {"name": "audited_strategies:keeps"})
    (fault,) = found.faults
    assert fault.check == "training"
    assert "is fitted on later bars: policy changed" in fault.text


def test_a_fill_at_the_close_of_the_next_bar_is_found(audited, monkeypatch):
    """A planted fault of the accounting: orders fill at a price that is not known yet."""
    right = decisions.run_backtest
    monkeypatch.setattr(
        decisions,
        "run_backtest",
        lambda name, asset, *rest: right(name, replace(asset, open=asset.close), *rest),
    )
    (fault,) = audited("audited_strategies:Honest").faults
    assert (fault.check, "turnover of the fill" in fault.text) == ("fills", True)


# -- columns that came with the data --------------------------------------------------------------


def test_shares_of_later_returns_by_hand():
    """A column with independent noise as large as the next return has half of it: R^2 = 1/2."""
    frame = make_bars(4000, seed=8)
    bars = {name: frame[name].to_numpy() for name in frame}
    ahead = np.append(np.diff(np.log(bars["close"])), 0.0)
    noise = np.random.default_rng(1).normal(scale=ahead.std(), size=len(ahead))
    assert share_of_later_returns(ahead, bars) > 0.99
    # Ranks of a normal pair with correlation r have 6 / pi * asin(r / 2).
    expected = (6 / np.pi * np.arcsin(np.sqrt(0.5) / 2)) ** 2
    assert share_of_later_returns(ahead + noise, bars) == pytest.approx(expected, abs=0.03)
    assert abs(share_of_later_returns(noise, bars)) < 0.01
    # A real edge: a correlation of 0.1 with the next return.
    assert share_of_later_returns(noise + 0.1 * ahead, bars) < 0.03
    assert share_of_later_returns(np.ones(len(ahead)), bars) == 0.0


def test_copies_of_later_bars_are_found_and_others_are_not():
    frame = make_bars(400, seed=8)
    bars = {name: frame[name].to_numpy() for name in frame}
    assert copied_from(np.append(bars["volume"][3:], [0.0] * 3), bars) == ("volume", 3)
    assert copied_from(3.0 * np.append(bars["high"][1:], bars["high"][-1]), bars) == ("high", 1)
    for honest in (bars["close"], bars["sentiment"], np.append(0.0, bars["volume"][:-1])):
        assert copied_from(honest, bars) is None
    # Crypto opens where it closed: the next open is this close.
    bars["open"] = np.append(bars["close"][0], bars["close"][:-1])
    returns = np.diff(np.log(bars["close"]), prepend=np.nan)
    assert copied_from(returns, bars) is None
    assert share_of_later_returns(np.nan_to_num(returns), bars) < 0.05
    assert copied_from(np.append(returns[1:], np.nan), bars) == ("open", 2)


# -- what it comes to ------------------------------------------------------------------------------


def test_a_sample_is_no_proof_and_parts_are_added_up():
    one = AuditOutcome((Proof("feature a", "truncation", 9, 10),), ()).to_json()
    two = AuditOutcome((Proof("feature a", "truncation", 20, 20),), ()).to_json()
    found = AuditOutcome.merged([one, two], 1.0)
    assert found.proofs == (Proof("feature a", "truncation", 29, 30),)
    assert (found.passed, found.proved) == (True, False)
    assert str(found) == "no look-ahead found; a sample of cuts is no proof"
    assert AuditOutcome.merged([two], 1.0).proved


def test_values_that_json_lacks_are_none():
    fault = Fault("feature a", "truncation", "it leaks", before=float("nan"), after=1.0)
    stored = AuditOutcome((), (fault,)).to_json()
    json.dumps(stored, allow_nan=False)
    (again,) = AuditOutcome.merged([stored], 0.0).faults
    assert (again.before, again.after) == (None, 1.0)
