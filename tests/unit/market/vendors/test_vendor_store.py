"""The store of fetched bars, and the source that reads it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from fake_vendor import NOON, FakeVendor, filled_store, history

from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.market.sources.catalog import (
    build_source,
    fingerprint_source,
)
from reinforcestrategycreator_pipeline.market.vendors.store import BarStore
from reinforcestrategycreator_pipeline.market.vendors.updating import Desk


@pytest.fixture
def store(tmp_path):
    return filled_store(tmp_path / "store", "IBM", "BTC/USDT", "..")


def source(store, **parameters):
    return build_source("store", {"store": str(store.folder), **parameters})


def load(source):
    return source.load(np.random.default_rng(0))


def test_symbols_of_any_form_are_files_inside(store):
    assert [x.name for x in store.lineages()] == ["fake/../1d", "fake/BTC/USDT/1d", "fake/IBM/1d"]
    names = {str(p.relative_to(store.folder)) for p in store.folder.rglob("*.json")}
    assert names == {
        "series/fake/%2E./1d.json", "series/fake/BTC%2FUSDT/1d.json", "series/fake/IBM/1d.json",
    }  # fmt: skip
    # Other names, other content: the name of the series is in the file.
    assert len(list(store.folder.glob("objects/*.parquet"))) == 3


def test_a_source_reads_one_series_or_several_or_a_pattern(store):
    assert load(source(store, series="fake/IBM/1d")).symbols == ("IBM",)
    assert load(source(store, series="fake/*/1d")).symbols == ("..", "BTC/USDT", "IBM")
    data = load(source(store, series=["fake/IBM/1d"], start="2024-02-01", end="2024-02-29"))
    assert [str(t) for t in data["IBM"].index[[0, -1]]] == [
        "2024-02-01 05:00:00+00:00", "2024-03-01 05:00:00+00:00",
    ]  # fmt: skip
    # A day ends at midnight in New York: the bar of February 29th closes on March 1st, UTC.


def test_the_content_is_pinned(store):
    sha256 = store.lineage("fake/IBM/1d").current.sha256
    found = source(store, series="fake/IBM/1d")
    assert fingerprint_source(found, "store") == {"fake/IBM/1d": sha256}
    assert load(found).provenance["sha256"] == {"fake/IBM/1d": sha256}
    assert load(source(store, series="fake/IBM/1d", sha256=[sha256[:8]])).symbols == ("IBM",)
    with pytest.raises(DataError, match=r"has no version 'beef'; the newest are"):
        load(source(store, series="fake/IBM/1d", sha256=["beef"]))
    with pytest.raises(ConfigError, match=r"one hash for each of the 1 series"):
        load(source(store, series="fake/IBM/1d", sha256=["a", "b"]))


def test_an_older_version_stays_readable(store):
    lineage = store.lineage("fake/IBM/1d")
    desk = Desk(store, "fake", FakeVendor(history(80)), {}, None, NOON + pd.Timedelta(9, "D"))
    assert desk.update(lineage).made == "extended"
    old = lineage.current.sha256
    assert len(load(source(store, series="fake/IBM/1d", sha256=[old]))["IBM"]) == 59
    assert len(load(source(store, series="fake/IBM/1d"))["IBM"]) == 65


def test_a_restated_past_is_a_warning_in_all_later_versions(store):
    lineage, vendor = store.lineage("fake/IBM/1d"), FakeVendor(history(80))
    vendor.frame.iloc[50, 3] += 0.25
    for days in (1, 9):
        desk = Desk(store, "fake", vendor, {}, None, NOON + pd.Timedelta(days, "D"))
        lineage = desk.update(lineage, accept_restated=True).lineage
    assert [v.made for v in lineage.versions] == ["fetched", "restated", "extended"]
    (warning,) = load(source(store, series="fake/IBM/1d")).warnings
    assert warning == (
        "fake/IBM/1d: the vendor restated its past, which was accepted on 2024-03-23; values that "
        "changed: 1."
    )
    first = lineage.versions[0].sha256
    assert load(source(store, series="fake/IBM/1d", sha256=[first])).warnings == ()


def test_what_is_not_there_is_named(store, tmp_path):
    with pytest.raises(DataError, match=r"no series 'fake/IBN/1d'. Did you mean 'fake/IBM/1d'?"):
        load(source(store, series="fake/IBN/1d"))
    with pytest.raises(DataError, match=r"no series 'x'"):
        load(source(store, series="x"))
    with pytest.raises(DataError, match=r"no series 'fake/\*/1h'"):
        load(source(store, series="fake/*/1h"))
    with pytest.raises(DataError, match=r"It is empty: rsc data fetch fills it"):
        load(source(BarStore(tmp_path / "none"), series="fake/IBM/1d"))
    with pytest.raises(DataError, match=r"no bar closes from 2030-01-01 to the last"):
        load(source(store, series="fake/IBM/1d", start="2030-01-01"))


def test_a_damaged_file_is_rejected(store):
    version = store.lineage("fake/IBM/1d").current
    path = store.folder / "objects" / f"{version.sha256}.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"is damaged"):
        load(source(store, series="fake/IBM/1d"))
    path.unlink()
    with pytest.raises(DataError, match=r"not in the store any more"):
        load(source(store, series="fake/IBM/1d"))


def test_an_edited_lineage_is_rejected(store):
    path = store.folder / "series/fake/IBM/1d.json"
    path.write_text(path.read_text().replace('"rows": 59', '"rows": 60'))
    with pytest.raises(DataError, match=r"edited or cut"):
        store.lineage("fake/IBM/1d")


def test_two_writers_do_not_lose_a_version(store):
    lineage = store.lineage("fake/IBM/1d")
    frame = store.read(lineage.current)
    store.write(lineage, frame.iloc[:50], lineage.current)
    with pytest.raises(DataError, match=r"another process has just changed it"):
        store.write(lineage, frame.iloc[:40], lineage.current)
    assert [v.rows for v in store.lineage("fake/IBM/1d").versions] == [59, 50]


def test_the_lineage_is_json_to_read(store):
    found = json.loads((store.folder / "series/fake/IBM/1d.json").read_text())
    assert found["vendor"] == "fake"
    assert found["versions"][0]["rows"] == 59
