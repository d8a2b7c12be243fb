"""The audit passes what is causal and catches every look-ahead that was planted."""

import time

import numpy as np
import pytest
import user_features

from reinforcestrategycreator_pipeline import feature
from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.features import audit, vetting
from reinforcestrategycreator_pipeline.features.audit import require_none
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES
from reinforcestrategycreator_pipeline.features.fresh import FreshProcesses
from reinforcestrategycreator_pipeline.features.momentum import Rsi
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars

FRAME = make_bars(300, seed=3)
BOTH = {"truncation", "perturbation"}
PROCESSES = FreshProcesses()


@pytest.fixture(scope="module", autouse=True)
def _ended():
    yield
    PROCESSES.close()


def audit_features(*args, **kwargs):
    return audit.audit_features(*args, processes=PROCESSES, **kwargs)


def planted(name):
    return [FeatureSpec(f"user_features:{name}")]


def test_default_features_at_every_cut_of_600_bars_in_seconds():
    frame = make_bars(600, seed=4)
    start = time.process_time()
    assert audit_features(frame, DEFAULT_FEATURES) == ()
    # About 2 s of CPU at rest; the bound leaves room for a loaded machine.
    assert time.process_time() - start < 6.0


def test_sampled_audit_is_quick_enough_for_every_run():
    frame = make_bars(3270, seed=4)
    start = time.process_time()
    require_none(audit_features(frame, DEFAULT_FEATURES, cuts=16))
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
    findings = audit_features(FRAME, planted(name))
    assert "truncation" in {f.check for f in findings}
    assert findings[0].feature == f"user_features:{name}"
    assert findings[0].row <= findings[0].cut


@pytest.mark.parametrize(
    "name", ["centred_mean", "shifted", "full_sample_scaled", "fourier_smoothed", "distant_leak"]
)
def test_common_look_aheads_are_caught_by_a_sample_too(name):
    with pytest.raises(FeatureError, match="looks ahead"):
        require_none(audit_features(FRAME, planted(name), cuts=64))


def test_a_few_cuts_miss_what_strikes_few_rows_and_all_cuts_do_not():
    """Why the tests are exhaustive: 5 cuts of 300 miss a leak of 3 rows."""
    assert audit_features(FRAME, planted("rare_leak"), cuts=5) == ()
    assert {f.check for f in audit_features(FRAME, planted("rare_leak"))} == BOTH


def test_finding_tells_row_cut_and_count():
    finding, _ = audit_features(FRAME, planted("one_row_leak"))
    assert (finding.row, finding.cut, finding.count) == (111, 111, 1)
    finding, _ = audit_features(FRAME, planted("rare_leak"), symbol="ACME")
    assert (finding.row, finding.cut, finding.count) == (37, 37, 3)
    with pytest.raises(FeatureError) as caught:
        require_none([finding])
    assert str(caught.value) == (
        "ACME: feature 'user_features:rare_leak': column 'rare_leak' looks ahead: its row 37 "
        "changes with bars after 37 (truncation, 3 changes in all)."
    )


def test_perturbation_catches_a_leak_that_hides_from_cuts(monkeypatch):
    """Where a feature cannot be imported, it is audited here, and may remember the whole series."""
    monkeypatch.setattr(user_features, "_remembered", None)
    remembers = user_features.leak_that_hides_from_cuts

    @feature
    def leak(bars):
        return remembers(bars)

    monkeypatch.setattr(user_features, "shifted", leak)
    assert [f.check for f in audit_features(FRAME, planted("shifted"))] == ["perturbation"]


def test_only_the_column_that_leaks_is_named(monkeypatch):
    @feature
    def one_of_two(bars):
        return np.column_stack([bars["close"] / bars["open"], user_features.shifted(bars)])

    monkeypatch.setattr(user_features, "two_columns", one_of_two)
    findings = audit_features(FRAME, planted("two_columns"))
    assert {f.column for f in findings} == {"two_columns_1"}
    assert {f.check for f in findings} == BOTH


def test_look_ahead_through_side_data_is_caught(monkeypatch):
    @feature
    def leak(bars):
        return np.append(bars["sentiment"][1:], 0.0)

    monkeypatch.setattr(user_features, "shifted", leak)
    assert len(audit_features(FRAME, planted("shifted"))) == 2


def test_same_seed_same_findings():
    spec = planted("full_sample_scaled")
    one = audit_features(FRAME, spec, cuts=20, seed=1)
    assert audit_features(FRAME, spec, cuts=20, seed=1) == one
    assert audit_features(FRAME, spec, cuts=20, seed=2) != one


def test_too_few_bars_are_refused_not_passed():
    with pytest.raises(FeatureError, match=r"'rsi' needs at least 189 bars .* Got 188 instead"):
        audit_features(make_bars(188), [FeatureSpec("rsi")])
    assert audit_features(make_bars(189), [FeatureSpec("rsi")]) == ()


def test_width_that_depends_on_the_data_is_refused():
    with pytest.raises(FeatureError, match="must always return the same number of columns"):
        audit_features(FRAME, planted("changes_width"))


# ---- a declared lookback that is too short ------------------------------------------------------


def lookback_of(name, lookback, **params):
    return [FeatureSpec(f"user_features:{name}", {"lookback": lookback, **params})]


def test_a_lookback_that_is_too_short_is_found_and_named():
    with pytest.raises(FeatureError) as caught:
        require_none(audit_features(FRAME, lookback_of("decaying", 60), symbol="ACME"))
    assert str(caught.value) == (
        "ACME: feature 'user_features:decaying': column 'decaying' needs more than its declared "
        "lookback of 60 bars: its row 61 changes with bars before 1 (lookback, 238 changes in all)."
    )
    with pytest.raises(FeatureError, match="declared lookback of 60 bars: its row"):
        require_none(audit_features(FRAME, lookback_of("decaying", 60), cuts=4))


def test_a_long_lookback_and_rounding_pass():
    assert audit_features(FRAME, lookback_of("decaying", 200)) == ()
    # pandas' running sums round otherwise where the series begins elsewhere.
    assert audit_features(FRAME, lookback_of("running_mean", 19)) == ()


def test_of_a_shipped_feature_every_bit_counts(monkeypatch):
    compute = Rsi.compute
    monkeypatch.setattr(Rsi, "compute", lambda *a: compute(*a) * (1 + 1e-15 * len(a[1]["close"])))
    findings = audit_features(FRAME, [FeatureSpec("rsi", {"period": 3, "tail": 0.01})], cuts=3)
    assert "lookback" in {f.check for f in findings}


def test_a_feature_that_fails_on_its_lookback_alone_says_of_which_bars():
    with pytest.raises(FeatureError) as caught:
        audit_features(FRAME, lookback_of("needs_ten_bars", 3))
    assert "raised IndexError: too few bars (user_features.py:" in str(caught.value)
    assert "(in the audit's truncation, bars 0 to 3)" in str(caught.value)


def centred(bars):
    close = np.concatenate([bars["close"], bars["close"][-1:]])
    out = np.full(len(bars["close"]), np.nan)
    out[1:] = (close[2:] + close[1:-1] + close[:-2])[: len(out) - 1] / bars["close"][1:]
    return out


def tomorrow(bars):
    return np.append(np.diff(np.log(bars["close"])), 0.0)


def of_maximum(bars):
    return bars["close"] / bars["close"].max()


def to_the_end(bars):
    return 1.0 / np.arange(len(bars["close"]), 0, -1)


def whole_past(bars):
    close = bars["close"]
    return close / (np.cumsum(close) / np.arange(1, len(close) + 1))


def by_level(bars):
    return np.where(bars["close"] > 40.0, 1.0, 0.0)


def sound(bars):
    return np.log(bars["close"] / bars["open"])


@pytest.mark.parametrize(
    ("wrong", "back", "found"),
    [
        (centred, 1, {"truncation", "perturbation", "lookback"}),
        (tomorrow, 0, {"truncation", "perturbation", "lookback"}),
        (of_maximum, 0, {"truncation", "perturbation", "lookback"}),
        (to_the_end, 0, {"truncation", "perturbation"}),
        (whole_past, 0, {"lookback"}),
        (by_level, 0, {"level"}),
        (sound, 0, set()),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_on_very_many_bars_the_bars_near_the_cuts_show_what_a_shipped_feature_does_wrong(
    monkeypatch, wrong, back, found
):
    monkeypatch.setattr(audit, "WHOLE_BARS", 1_000)
    monkeypatch.setattr(audit, "NEAR_BARS", 100)
    monkeypatch.setattr(
        "reinforcestrategycreator_pipeline.features.fresh.is_shipped", lambda _: True
    )
    sizes = set()

    def counted(bars):
        sizes.add(len(bars["close"]))
        return wrong(bars)

    counted.lookback = back
    made = feature(counted)
    frame = make_bars(1_200, seed=3)
    monkeypatch.setattr(user_features, "near", made, raising=False)
    findings = audit_features(frame, planted("near"), cuts=16)
    checks = {f.check for f in findings}
    assert found <= checks
    assert bool(checks) == bool(found)
    assert max(sizes - {1_200}) <= 201 + back


@pytest.mark.parametrize("spec", DEFAULT_FEATURES, ids=lambda spec: spec.name)
def test_the_default_features_pass_near_the_cuts(monkeypatch, spec):
    monkeypatch.setattr(audit, "WHOLE_BARS", 1_000)
    monkeypatch.setattr(audit, "NEAR_BARS", 300)
    assert audit_features(make_bars(1_500, seed=4), [spec], cuts=16) == ()


def test_of_very_many_symbols_some_show_what_shipped_features_do_and_all_what_users_do(monkeypatch):
    names = [f"S{i:03d}" for i in range(60)]
    monkeypatch.setattr(vetting, "MOST_SYMBOLS", 5)
    seen = {}
    monkeypatch.setattr(
        vetting,
        "audit_features",
        lambda frame, specs, *, symbol, **_: seen.setdefault(symbol, list(specs)) and (),
    )
    frames = dict.fromkeys(names, FRAME)
    users, shipped = planted("close_on_the_open_user"), DEFAULT_FEATURES[:1]
    monkeypatch.setattr(vetting, "settle", lambda known, specs, *_: (tuple(specs), ()))
    monkeypatch.setattr(user_features, "close_on_the_open_user", feature(sound), raising=False)
    told = []
    given = {"training_end": FRAME.index[200], "cuts": 4, "progress": lambda *x: told.append(x)}
    vetting.vet(frames, [*shipped, *users], seed=7, **given)
    assert list(seen) == names
    chosen = {name for name, specs in seen.items() if len(specs) == 2}
    assert len(chosen) == 5
    assert all(specs == users for name, specs in seen.items() if name not in chosen)
    assert chosen == vetting.audited_symbols(names, 7) != vetting.audited_symbols(names, 8)
    assert vetting.audited_symbols(names[:5], 7) == set(names[:5])
    assert told[-1] == (60, 60)
    seen.clear()
    vetting.vet(frames, shipped, seed=7, **given)
    assert set(seen) == chosen
