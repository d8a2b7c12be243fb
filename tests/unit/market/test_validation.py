import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.preparation import prepare
from reinforcestrategycreator_pipeline.market.validation import (
    RawBars,
    missing_sessions,
    validate,
)


def raw(n=5, lines=True, **columns):
    values = {
        "open": [10.0] * n, "high": [12.0] * n, "low": [9.0] * n, "close": [11.0] * n,
        "volume": [100.0] * n, **columns,
    }  # fmt: skip
    stamps = pd.date_range("2024-01-01", periods=n, tz="UTC", unit="ns")
    return RawBars("X", "f.csv", pd.DataFrame(values, index=stamps), np.arange(2, n + 2)
                   if lines else None)  # fmt: skip


def put(column, row, value, n=5, lines=True):
    r = raw(n, lines)
    r.frame.loc[r.frame.index[row], column] = value
    return r


def refusal(r, **options):
    with pytest.raises(DataError) as caught:
        validate(r, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("close", np.nan, "f.csv: X: close must be a number, not missing: line 4."),
        ("volume", np.nan, "f.csv: X: volume must be a number, not missing: line 4."),
        ("high", np.inf, "f.csv: X: high must be finite: line 4 (high=inf)."),
        ("open", 0.0, "open must be > 0: line 4 (open=0); low must be <= open"),
        ("low", -9.0, "f.csv: X: low must be > 0: line 4 (low=-9)."),
        ("volume", -1.0, "f.csv: X: volume must be >= 0: line 4 (volume=-1)."),
        (
            "high",
            8.0,
            "high must be >= open, close and low: line 4 (open=10 high=8 low=9 close",
        ),
        ("high", 10.5, "high must be >= open, close and low: line 4 (open=10 high=10.5 low"),
        ("low", 10.5, "low must be <= open, close and high: line 4 (open=10 high=12 low=10.5"),
    ],
)
def test_a_bad_number_is_refused_with_its_row(column, value, message):
    assert message in refusal(put(column, 2, value))


def test_without_lines_the_stamp_is_named():
    assert "2024-01-03 00:00:00+00:00 (close=-1)" in refusal(put("close", 2, -1.0, lines=False))


def test_many_bad_rows_are_counted():
    text = refusal(raw(10, close=[-1.0] * 10))
    assert "close must be > 0: line 2 (close=-1), line 3 (close=-1), line 4 (close=-1) and" in text


def test_many_broken_rules_are_counted():
    text = refusal(raw(open=[np.nan] * 5, high=[np.inf] * 5, close=[-1.0] * 5, volume=[-1.0] * 5))
    assert text.startswith("f.csv: X: open must be a number, not missing: line 2, line 3, line 4 a")
    assert "high must be finite" in text
    assert text.endswith("more rules are broken.")


def test_side_data_and_the_adjusted_close_are_checked_too():
    assert "signal must be finite" in refusal(raw(signal=[1.0, 2.0, np.inf, 3.0, -4.0]))
    assert "adj_close must be > 0" in refusal(raw(adj_close=[1.0, 2.0, 0.0, 3.0, 4.0]))
    validate(raw(signal=[-1.0, 0.0, 1.0, 2.0, 3.0]))


def test_rounding_of_an_ulp_passes_and_of_a_millionth_does_not():
    validate(put("high", 2, 11.0 * (1 - 1e-12)))
    assert "high must be >=" in refusal(put("high", 2, 11.0 * (1 - 1e-6)))
    assert "low must be <=" in refusal(put("low", 2, 10.0 * (1 + 1e-6)))


def test_identical_duplicates_are_dropped_and_counted():
    r = raw()
    rows = [0, 1, 1, 2, 2, 3, 4]
    doubled = RawBars("X", "f.csv", r.frame.iloc[rows], np.arange(2, 9))
    frame, found = validate(doubled)
    assert len(frame) == 5
    assert found.warnings == ["f.csv: X: 2 identical duplicates were dropped."]


def test_conflicting_duplicates_are_refused():
    r = raw()
    frame = r.frame.iloc[[0, 1, 1, 2]].copy()
    frame.iloc[2, frame.columns.get_loc("volume")] = 7.0
    text = refusal(RawBars("X", "f.csv", frame, np.arange(2, 6)))
    assert text == (
        "f.csv: X: line 4 and line 3 are both for 2024-01-01, but differ in volume."  # 24:00
    )


def test_unsorted_rows_are_sorted_and_it_is_said():
    r = raw(close=[10.0, 10.1, 10.2, 10.3, 10.4])
    for order, words in (([4, 3, 2, 1, 0], "newest first"), ([0, 2, 1, 3, 4], "not in order of")):
        frame, found = validate(RawBars("X", "f.csv", r.frame.iloc[order], np.arange(2, 7)))
        assert frame["close"].to_list() == [10.0, 10.1, 10.2, 10.3, 10.4]
        assert len(found.notes) == 1
        assert words in found.notes[0]


def test_a_bar_that_is_not_over_is_dropped_and_more_are_refused():
    frame, found = validate(raw(), clock=pd.Timestamp("2024-01-04 12:00", tz="UTC"))
    assert len(frame) == 4
    assert "closes at 2024-01-05 00:00:00+00:00, is unfinished; it was dropped" in found.warnings[0]
    frame, found = validate(raw(), clock=pd.Timestamp("2024-01-05", tz="UTC"))
    assert (len(frame), found.notes) == (5, [])
    text = refusal(raw(), clock=pd.Timestamp("2024-01-03 12:00", tz="UTC"))
    assert "2 bars close in the future (it is now 2024-01-03 12:00 UTC): line 5, line 6." in text


def test_as_of_looks_at_the_past():
    frame, found = validate(raw(), as_of=pd.Timestamp("2024-01-03", tz="UTC"))
    assert len(frame) == 3
    assert found.warnings[0].endswith(
        "bars that close after 2024-01-03 00:00:00+00:00 were omitted: 2."
    )


def test_too_few_rows():
    assert refusal(raw(0)) == "f.csv: X has no rows."
    assert refusal(raw(1)) == "f.csv: X needs at least 2 bars. Got 1."


def test_missing_sessions_by_hand():
    # Mon 1 Jan .. Fri 12 Jan 2024 without Wed 3 and Tue 9; closes at 24:00, the next day's 00:00.
    days = pd.bdate_range("2024-01-01", "2024-01-12").drop(["2024-01-03", "2024-01-09"])
    frame = pd.DataFrame(index=(days + pd.Timedelta(1, "D")).tz_localize("UTC"))
    assert missing_sessions(frame, "UTC") == ["2024-01-03", "2024-01-09"]
    late = pd.DataFrame(index=(days + pd.Timedelta(hours=16)).tz_localize("America/New_York"))
    assert missing_sessions(late.tz_convert("UTC"), "America/New_York") == [
        "2024-01-03",
        "2024-01-09",
    ]


def test_a_bar_that_the_others_have_is_missed():
    whole = raw(lines=False)
    gap = RawBars("Y", "g.csv", whole.frame.iloc[[0, 1, 3, 4]])
    data = prepare([gap, whole], {"source": "t"})
    assert [n for n in data.notes if "lacks" in n] == [
        "Y: lacks 1 bar that at least half of the symbols have, the first at "
        "2024-01-03 00:00:00 UTC."
    ]
    assert [n for n in prepare([whole], {"source": "t"}).notes if "lacks" in n] == []


def test_a_symbol_twice_is_refused():
    with pytest.raises(DataError, match="'X' occurs twice"):
        prepare([raw(), raw()], {"source": "t"})


def test_bars_without_volume_and_unadjusted_splits_are_said():
    r = raw(20, open=[10.0] * 20, close=[10.0] * 20, volume=[0.0] + [5.0] * 19)
    f = r.frame.copy()
    f.loc[f.index[12:], ["open", "high", "low", "close"]] /= 2
    notes = prepare([RawBars("X", "f.csv", f, r.lines)], {"source": "t"}).notes
    assert notes == (
        "f.csv: X: the open on 2024-01-12 looks like a 2:1 split for which the prices are not "
        "adjusted.",
        "f.csv: X: 1 of 20 bars without volume.",
    )
