"""DataFrames are read by a file's rules and are a source like any other."""

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.market.sources.frames import FrameSource, hold


def frame(n: int = 6) -> pd.DataFrame:
    close = 100.0 + np.arange(n)
    index = pd.date_range("2024-01-01", periods=n, name="Date")
    columns = {"Open": close, "High": close + 1, "Low": close - 1, "Close": close}
    return pd.DataFrame({**columns, "Volume": 10.0}, index=index)


def test_a_frame_is_read_as_its_csv_is(tmp_path):
    frame().to_csv(tmp_path / "X.csv")
    from_file, from_memory = read_bars(tmp_path / "X.csv"), read_bars({"X": frame()})
    pd.testing.assert_frame_equal(from_memory["X"], from_file["X"], check_freq=False)
    assert from_memory.symbols == ("X",)
    assert read_bars(frame(), symbol="Y").symbols == ("Y",)
    assert read_bars(frame()).symbols == ("bars",)


def test_stamps_may_be_a_column_and_have_a_zone():
    column = frame().reset_index()
    pd.testing.assert_frame_equal(read_bars({"X": column})["X"], read_bars({"X": frame()})["X"])
    zoned = frame(5).tz_localize("America/New_York")  # Monday to Friday
    zoned.index = zoned.index + pd.Timedelta(hours=16)
    assert str(read_bars({"X": zoned})["X"].index[0]) == "2024-01-01 21:00:00+00:00"


@pytest.mark.parametrize("source", ["synthetic", "sample"])
def test_frames_that_were_read_keep_their_stamps(source):
    bars = read_bars(source=source)  # the synthetic market closes at midnight
    parts = {symbol: frame.iloc[10:40] for symbol, frame in bars.items()}
    again = read_bars(parts)
    for symbol, part in parts.items():
        pd.testing.assert_frame_equal(again[symbol], part, check_freq=False)


def test_a_column_of_symbols_divides_a_frame():
    both = pd.concat([frame().assign(symbol="A"), frame().assign(symbol="B")])
    assert read_bars(both).symbols == ("A", "B")


def test_wrong_frames_say_where():
    bad = frame()
    bad.iloc[2, 3] = -5.0
    with pytest.raises(DataError, match=r"bars\['X'\]: X: close must be > 0: 2024-01-0"):
        read_bars({"X": bad})
    with pytest.raises(DataError, match=r"no column for open"):
        read_bars({"X": frame().drop(columns="Open")})
    with pytest.raises(DataError, match="X: the DataFrame has no rows"):
        read_bars({"X": frame().iloc[:0]})
    with pytest.raises(DataError, match=r"X: bars must be a DataFrame\. Got list"):
        read_bars({"X": [1, 2]})
    with pytest.raises(DataError, match="at least one DataFrame"):
        read_bars({})
    with pytest.raises(DataError, match="X: its columns have several levels"):
        read_bars({"X": pd.concat({"a": frame()}, axis=1)})
    with pytest.raises(ConfigError, match=r"no parameter 'timezon'\. Did you mean 'timezone'"):
        read_bars(frame(), timezon="UTC")
    with pytest.raises(ConfigError, match="needs a path, DataFrames or a source"):
        read_bars()


def test_held_bars_are_a_source_and_known_by_their_content():
    data = read_bars({"X": frame()})
    rng = np.random.default_rng(0)
    assert FrameSource(hold(data)).load(rng) is data
    other = frame()
    other.iloc[0, 0] += 0.25
    assert hold(read_bars({"X": other})) != hold(data)
    with pytest.raises(DataError, match=r"not in memory any more\. Pass them again"):
        FrameSource("0" * 64).load(rng)


def test_only_frames_of_ours_are_known_to_be_stamped_at_the_close():
    # The form of Alpaca's frames, which stamps a day at its midnight of New York, in UTC.
    times = pd.DatetimeIndex(["2024-01-02", "2024-01-03", "2024-01-04"]) + pd.Timedelta(hours=5)
    theirs = frame(3).rename(columns=str.lower)
    theirs.index = times.as_unit("ns").tz_localize("UTC").rename("timestamp")
    data = read_bars({"X": theirs})
    assert str(data["X"].index[0]) == "2024-01-03 05:00:00+00:00"
    assert data.warnings != ()
    for ours in (data["X"], data["X"].iloc[1:], data["X"].loc["2024-01-04":].copy()):
        again = read_bars({"X": ours})
        assert again.warnings == ()
        assert again["X"].index.equals(ours.index)
    own = read_bars({"X": theirs}, timezone="America/New_York", session_close="16:00")
    assert str(own["X"].index[0]) == "2024-01-02 21:00:00+00:00"
