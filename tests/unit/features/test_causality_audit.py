"""The audit passes what is causal and catches every look-ahead that was planted."""

import time

import numpy as np
import pytest
import user_features

from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.features.audit import audit_causality, require_causal
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars

FRAME = make_bars(300, seed=3)


def planted(name):
    return [FeatureSpec(f"user_features:{name}")]


def test_default_features_at_every_cut_of_1500_bars_in_seconds():
    frame = make_bars(1500, seed=4)
    start = time.process_time()
    assert audit_causality(frame, DEFAULT_FEATURES, cuts="all", perturbations=64) == ()
    # About 2 s of CPU at rest; the bound leaves room for a loaded machine.
    assert time.process_time() - start < 6.0


def test_sampled_audit_is_quick_enough_for_every_run():
    frame = make_bars(3270, seed=4)
    start = time.process_time()
    require_causal(frame, DEFAULT_FEATURES, cuts=64, perturbations=16)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    "name",
    [
        "centred_mean",
        "shifted",
        "backfilled",
        "full_sample_scaled",
        "full_sample_maximum",
        "fourier_smoothed",
        "rare_leak",
        "one_row_leak",
        "distant_leak",
        "last_bar_differs",
    ],
)
def test_planted_look_ahead_is_caught_by_every_cut(name):
    findings = audit_causality(FRAME, planted(name), perturbations=0)
    assert [f.check for f in findings] == ["truncation"]
    assert findings[0].feature == f"user_features:{name}"
    assert findings[0].row <= findings[0].cut


@pytest.mark.parametrize(
    "name", ["centred_mean", "shifted", "full_sample_scaled", "fourier_smoothed", "distant_leak"]
)
def test_common_look_aheads_are_caught_by_a_sample_too(name):
    with pytest.raises(FeatureError, match="looks ahead"):
        require_causal(FRAME, planted(name), cuts=64, perturbations=0)


def test_a_few_cuts_miss_what_strikes_few_rows_and_all_cuts_do_not():
    """Why the tests are exhaustive: 5 cuts of 300 miss a leak of 3 rows."""
    assert audit_causality(FRAME, planted("rare_leak"), cuts=5, perturbations=0) == ()
    assert len(audit_causality(FRAME, planted("rare_leak"), perturbations=0)) == 1


def test_finding_tells_row_cut_and_count():
    (finding,) = audit_causality(FRAME, planted("one_row_leak"), perturbations=0)
    assert (finding.row, finding.cut, finding.count) == (111, 111, 1)
    (finding,) = audit_causality(FRAME, planted("rare_leak"), perturbations=0)
    assert (finding.row, finding.cut, finding.count) == (37, 37, 3)
    with pytest.raises(FeatureError) as caught:
        require_causal(FRAME, planted("rare_leak"), perturbations=0, symbol="ACME")
    assert str(caught.value) == (
        "ACME: feature 'user_features:rare_leak': column 'rare_leak' looks ahead: its row 37 "
        "changes with bars after 37 (truncation, 3 changes in all)."
    )


def test_perturbation_catches_a_leak_that_hides_from_cuts(monkeypatch):
    monkeypatch.setattr(user_features, "_remembered", None)
    spec = planted("leak_that_hides_from_cuts")
    findings = audit_causality(FRAME, spec, perturbations=299)
    assert [f.check for f in findings] == ["perturbation"]


def test_only_the_column_that_leaks_is_named(monkeypatch):
    def one_of_two(bars):
        return np.column_stack([bars["close"] / bars["open"], user_features.shifted(bars)])

    monkeypatch.setattr(user_features, "two_columns", one_of_two)
    findings = audit_causality(FRAME, planted("two_columns"))
    assert {f.column for f in findings} == {"two_columns_1"}
    assert {f.check for f in findings} == {"truncation", "perturbation"}


def test_look_ahead_through_side_data_is_caught(monkeypatch):
    def leak(bars):
        return np.append(bars["sentiment"][1:], 0.0)

    monkeypatch.setattr(user_features, "shifted", leak)
    assert len(audit_causality(FRAME, planted("shifted"))) == 2


def test_same_seed_same_findings():
    spec = planted("full_sample_scaled")
    one = audit_causality(FRAME, spec, cuts=20, seed=1)
    assert audit_causality(FRAME, spec, cuts=20, seed=1) == one
    assert audit_causality(FRAME, spec, cuts=20, seed=2) != one


def test_too_few_bars_are_refused_not_passed():
    with pytest.raises(FeatureError, match=r"'rsi' needs at least 189 bars .* Got 188 instead"):
        audit_causality(make_bars(188), [FeatureSpec("rsi")])
    assert audit_causality(make_bars(189), [FeatureSpec("rsi")]) == ()


def test_width_that_depends_on_the_data_is_refused():
    with pytest.raises(FeatureError, match="must always give the same number of columns"):
        audit_causality(FRAME, planted("changes_width"))
