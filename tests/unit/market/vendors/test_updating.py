"""Fetching into the store and updating it: a changed past is never absorbed in silence."""

from __future__ import annotations

import pandas as pd
import pytest
from fake_vendor import FakeVendor, history

from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.interval import Interval
from reinforcestrategycreator_pipeline.market.vendors.store import BarStore
from reinforcestrategycreator_pipeline.market.vendors.updating import Desk, RestatedError

DAY = Interval.parse("1d")
START = pd.Timestamp("2024-01-01", tz="UTC")
WHOLE = history(80)
THEN, LATER = pd.Timestamp("2024-03-22 12:00", tz="UTC"), pd.Timestamp("2024-04-05 12:00", tz="UTC")
# By noon of 2024-03-22 the day of 2024-03-21 is over: the 59th weekday of the year.
HELD, NOW_HELD = 59, 69


@pytest.fixture
def vendor():
    return FakeVendor(WHOLE.copy())


@pytest.fixture
def store(tmp_path):
    return BarStore(tmp_path / "store")


def desk(store, vendor, now):
    return Desk(store, "fake", vendor, {"per_minute": 5}, None, now)


@pytest.fixture
def lineage(store, vendor):
    return desk(store, vendor, THEN).fetch_new("IBM", DAY, START).lineage


def test_a_new_series_is_stored_with_its_lineage(store, vendor):
    outcome = desk(store, vendor, THEN).fetch_new("IBM", DAY, START)
    lineage = store.lineage("fake/IBM/1d")
    assert lineage == outcome.lineage
    assert (outcome.made, outcome.forming) == ("fetched", 1)
    assert (lineage.parameters, lineage.timezone) == ({"per_minute": 5}, "America/New_York")
    version = lineage.current
    assert (version.made, version.rows, version.parent, version.forming) == ("fetched", 59, None, 1)
    assert version.fetched_at == "2024-03-22T12:00:00+00:00"
    assert version.last == "2024-03-22T04:00:00+00:00"
    frame = store.read(version)
    assert len(frame) == HELD
    assert frame.to_numpy().tolist() == WHOLE.iloc[:HELD].to_numpy().tolist()


def test_what_is_there_is_not_fetched_again(store, vendor, lineage):
    with pytest.raises(DataError, match=r"the store has it.*rsc data update 'fake/IBM/1d'"):
        desk(store, vendor, LATER).fetch_new("IBM", DAY, START)


def test_an_update_asks_for_an_overlap_and_appends(store, vendor, lineage):
    outcome = desk(store, vendor, LATER).update(lineage, overlap=5)
    assert (outcome.made, outcome.added) == ("extended", NOW_HELD - HELD)
    assert vendor.requests[-1].start > pd.Timestamp("2024-03-10", tz="UTC")
    after = store.lineage("fake/IBM/1d")
    assert after.current.parent == lineage.current.sha256
    frame = store.read(after.current)
    assert frame.to_numpy().tolist() == WHOLE.iloc[:NOW_HELD].to_numpy().tolist()
    assert len(store.read(after.versions[0])) == HELD  # the bars of before are there


def test_an_update_with_nothing_new_changes_nothing(store, vendor, lineage):
    outcome = desk(store, vendor, THEN).update(lineage)
    assert (outcome.made, outcome.added) == ("unchanged", 0)
    assert store.lineage("fake/IBM/1d") == lineage


def test_the_same_bars_have_the_same_hash(store, vendor, lineage, tmp_path):
    other = BarStore(tmp_path / "other")
    again = desk(other, vendor, THEN).fetch_new("IBM", DAY, START).lineage
    assert again.current.sha256 == lineage.current.sha256


def test_a_restated_bar_is_reported_and_not_stored(store, vendor, lineage):
    vendor.frame.iloc[50, 3] += 0.25
    with pytest.raises(RestatedError) as caught:
        desk(store, vendor, LATER).update(lineage)
    (change,) = caught.value.restated.to_dict("records")
    old = WHOLE.iloc[50, 3]
    assert (change["row"], change["column"]) == (51, "close")
    assert (change["old"], change["new"]) == (old, old + 0.25)
    assert f"row 51 (2024-03-12 04:00) close {old} -> {old + 0.25}" in str(caught.value)
    assert "--accept-restated" in str(caught.value)
    assert store.lineage("fake/IBM/1d") == lineage


def test_once_one_bar_changed_all_are_compared(store, vendor, lineage):
    vendor.frame.iloc[50, 3] += 0.25
    vendor.frame.iloc[2, 0] += 0.25  # long before the overlap
    with pytest.raises(RestatedError) as caught:
        desk(store, vendor, LATER).update(lineage, overlap=20)
    assert caught.value.restated["row"].tolist() == [3, 51]


def test_an_accepted_past_replaces_the_stored_one_with_a_record(store, vendor, lineage):
    vendor.frame.iloc[50, 3] += 0.25
    outcome = desk(store, vendor, LATER).update(lineage, accept_restated=True)
    assert outcome.made == "restated"
    version = store.lineage("fake/IBM/1d").current
    assert (version.changes, version.rows) == (1, NOW_HELD)
    assert version.restated[0]["column"] == "close"
    assert version.restated[0]["new"] == vendor.frame.iloc[50, 3]
    assert store.read(version)["close"].iloc[50] == vendor.frame.iloc[50, 3]
    assert (
        store.read(version.__class__(**{**vars(version), "sha256": version.parent}))["close"].iloc[
            50
        ]
        == (WHOLE.iloc[50, 3])
    )


def test_a_split_is_taken_without_being_asked_and_noted(store, vendor, lineage):
    vendor.frame.loc[vendor.frame.index[:62], ["open", "high", "low", "close"]] /= 4
    vendor.frame.loc[vendor.frame.index[:62], "volume"] *= 4
    outcome = desk(store, vendor, LATER).update(lineage)
    assert (outcome.made, outcome.added) == ("readjusted", NOW_HELD - HELD)
    version = store.lineage("fake/IBM/1d").current
    assert version.factors == {"prices": 0.25, "volume": 4.0}
    frame = store.read(version)
    assert frame["close"].tolist() == vendor.frame["close"].iloc[:NOW_HELD].tolist()


class TestAVendorOfTheLastDays:
    @pytest.fixture
    def short(self, vendor, lineage):
        vendor.frame = vendor.frame.iloc[45:]
        return vendor

    def test_older_bars_are_kept(self, store, short, lineage):
        outcome = desk(store, short, LATER).update(lineage)
        assert (outcome.made, outcome.added) == ("extended", NOW_HELD - HELD)
        frame = store.read(outcome.lineage.current)
        assert frame.to_numpy().tolist() == WHOLE.iloc[:NOW_HELD].to_numpy().tolist()

    def test_older_bars_are_adjusted_as_the_others_are(self, store, short, lineage):
        short.frame.loc[:, ["open", "high", "low", "close"]] /= 2
        short.frame["volume"] *= 2
        outcome = desk(store, short, LATER).update(lineage)
        version = outcome.lineage.current
        assert (version.made, version.kept) == ("readjusted", 45)
        close = store.read(version)["close"]
        assert close.tolist() == (WHOLE["close"].iloc[:NOW_HELD] / 2).tolist()

    def test_a_request_for_all_that_fails_is_one_for_the_last(self, store, short, lineage):
        short.frame.iloc[10, 3] += 0.25
        short.most = pd.Timedelta(60, "D")
        with pytest.raises(RestatedError) as caught:
            desk(store, short, LATER).update(lineage)
        assert caught.value.restated["column"].tolist() == ["close"]

    def test_a_gap_is_an_error(self, store, short, lineage):
        short.frame = WHOLE.iloc[62:]
        with pytest.raises(DataError, match=r"begin at 2024-03-28 .*a gap would be left"):
            desk(store, short, LATER).update(lineage)
        assert store.lineage("fake/IBM/1d") == lineage


def test_a_bar_that_vanished_is_restated(store, vendor, lineage):
    vendor.frame = vendor.frame.drop(vendor.frame.index[55])
    with pytest.raises(RestatedError, match=r"row 56 .* is gone"):
        desk(store, vendor, LATER).update(lineage)


def test_a_dead_vendor_names_the_stored_bars(store, vendor, lineage):
    vendor.error = VendorError("v.com cannot be reached (timed out).", unreachable=True)
    with pytest.raises(VendorError) as caught:
        desk(store, vendor, LATER).update(lineage)
    assert str(caught.value) == (
        "fake: IBM: v.com cannot be reached (timed out). The store has fake/IBM/1d, 2024-01-01 to "
        "2024-03-21, fetched 2024-03-22: use --set data.source=store --set "
        f"data.params.series='fake/IBM/1d' --set data.params.store={store.folder}"
    )


def test_what_cannot_be_final_is_not_asked_for(store, vendor, monkeypatch):
    monkeypatch.setattr(FakeVendor, "settling_s", 900.0)
    desk(store, vendor, THEN).fetch_new("IBM", DAY, START)
    assert vendor.requests[-1].end == THEN - pd.Timedelta(15, "min")


def test_bars_of_another_vendor_or_spelling_are_named_too(store, vendor, lineage):
    vendor.error = VendorError("down.", unreachable=True)
    other = Desk(store, "other", vendor, {}, None, LATER)
    with pytest.raises(VendorError, match=r"The store has fake/IBM/1d"):
        other.fetch_new("ibm.us", Interval.parse("1h"), START)
    with pytest.raises(VendorError, match=r"has nothing of MSFT"):
        other.fetch_new("MSFT", DAY, START)


def test_an_error_of_the_request_names_no_stored_bars(store, vendor, lineage):
    vendor.error = VendorError("HTTP 404.", status=404)
    with pytest.raises(VendorError, match=r"^fake: IBM: HTTP 404\.$"):
        desk(store, vendor, LATER).update(lineage)
