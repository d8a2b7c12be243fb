"""The contract of data sources. Inherit it, and return an instance from the fixture `source`.

class TestMySource(DataSourceContract):
    @pytest.fixture
    def source(self):
        return MySource(...)
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.bars import read_bars, write_bars
from reinforcestrategycreator_pipeline.market.sources.base import DataSource
from reinforcestrategycreator_pipeline.market.sources.catalog import fingerprint_source
from reinforcestrategycreator_pipeline.ohlcv import OHLCV


def parameters(source):
    return {f.name: getattr(source, f.name) for f in dataclasses.fields(source)}


class DataSourceContract:
    @pytest.fixture
    def source(self):
        raise NotImplementedError("override the fixture source")

    @pytest.fixture
    def data(self, source):
        return source.load(np.random.default_rng(7))

    def test_is_a_frozen_dataclass_with_load(self, source):
        assert isinstance(source, DataSource)
        first = dataclasses.fields(source)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(source, first, None)

    def test_config_round_trips(self, source):
        as_json = json.loads(json.dumps(parameters(source)))
        assert from_mapping(type(source), as_json, "it") == source

    def test_unknown_parameter_is_refused(self, source):
        with pytest.raises(ConfigError, match="no parameter 'flavor'"):
            from_mapping(type(source), {"flavor": 1}, "it")

    def test_fingerprint_is_of_text_and_stays(self, source):
        first = fingerprint_source(source, "it")
        assert all(isinstance(text, str) for pair in first.items() for text in pair)
        assert fingerprint_source(source, "it") == first

    def test_bars_have_the_form(self, data):
        assert list(data.bars) == sorted(data.bars)
        for frame in data.bars.values():
            assert tuple(frame.columns[:5]) == OHLCV
            assert (frame.dtypes == np.float64).all()
            assert np.isfinite(frame.to_numpy()).all()
            assert isinstance(frame.index, pd.DatetimeIndex)
            assert str(frame.index.dtype) == "datetime64[ns, UTC]"
            assert frame.index.name == "timestamp"
            assert (np.diff(frame.index.asi8) > 0).all()

    def test_bars_keep_the_rules(self, data):
        for frame in data.bars.values():
            assert (frame[["open", "high", "low", "close"]] > 0).all(axis=None)
            assert (frame["volume"] >= 0).all()
            assert (frame["high"] * (1 + 1e-9) >= frame[["open", "close", "low"]].max(axis=1)).all()
            assert (frame["low"] * (1 - 1e-9) <= frame[["open", "close", "high"]].min(axis=1)).all()

    def test_same_generator_same_bytes(self, source, tmp_path):
        for name in ("a", "b"):
            write_bars(tmp_path / name, source.load(np.random.default_rng(7)))
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_global_random_state_is_neither_read_nor_changed(self, source):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        first = source.load(np.random.default_rng(7))
        assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
        np.random.random(3)  # noqa: NPY002 - the global generator must not matter
        second = source.load(np.random.default_rng(7))
        for symbol, frame in first.bars.items():
            pd.testing.assert_frame_equal(frame, second.bars[symbol], check_exact=True)

    def test_writes_and_reads_back_exactly(self, data, tmp_path):
        write_bars(tmp_path / "bars.parquet", data)
        back = read_bars(tmp_path / "bars.parquet")
        assert list(back.bars) == list(data.bars)
        for symbol, frame in data.bars.items():
            pd.testing.assert_frame_equal(frame, back.bars[symbol], check_exact=True)
        assert back.notes == data.notes
        assert back.bar_seconds == data.bar_seconds
        assert dict(back.provenance) == dict(data.provenance)

    def test_notes_and_provenance_are_fit_to_print(self, data):
        assert all(isinstance(note, str) and "\n" not in note for note in data.notes)
        assert data.provenance["source"]
        json.dumps(dict(data.provenance), allow_nan=False)
