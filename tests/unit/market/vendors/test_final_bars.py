"""Closes, forming bars, and rows that contradict one another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.vendors.base import Request, VendorBars
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.fetching import (
    day_ends,
    final_bars,
    make_request,
)
from reinforcestrategycreator_pipeline.market.vendors.interval import Interval
from reinforcestrategycreator_pipeline.market.vendors.paging import all_pages

START, END = pd.Timestamp("2024-03-08", tz="UTC"), pd.Timestamp("2024-03-12", tz="UTC")


def bars(index, price=1.0):
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close", "volume"), price), index)
    return frame.astype(np.float64)


def hours(first, count):
    return pd.date_range(first, periods=count, freq="1h", tz="UTC")


def request(interval="1h"):
    return Request("A", Interval.parse(interval), START, END)


def final(frame, interval="1h", now="2024-04-01", settling_s=0.0, timezone="America/New_York"):
    found = VendorBars(frame, timezone)
    return final_bars(found, request(interval), pd.Timestamp(now, tz="UTC"), settling_s)


def test_an_open_becomes_a_close():
    found = final(bars(hours("2024-03-08 14:00", 2)))
    assert [str(t) for t in found.frame.index] == [
        "2024-03-08 15:00:00+00:00",
        "2024-03-08 16:00:00+00:00",
    ]


@pytest.mark.parametrize(
    ("now", "settling_s", "kept"),
    [
        ("2024-03-08 16:30", 0.0, 2),
        ("2024-03-08 16:00", 0.0, 2),
        ("2024-03-08 15:59:59", 0.0, 1),
        ("2024-03-08 16:14:59", 900.0, 1),
        ("2024-03-08 16:15", 900.0, 2),
    ],
)
def test_a_bar_is_final_when_it_is_over_and_settled(now, settling_s, kept):
    found = final(bars(hours("2024-03-08 14:00", 3)), now=now, settling_s=settling_s)
    assert (len(found.frame), found.forming) == (kept, 3 - kept)


def test_only_forming_bars_are_an_error():
    with pytest.raises(VendorError, match=r"no bars of 1h .* \(1 not final yet left out\)"):
        final(bars(hours("2024-03-08 14:00", 1)), now="2024-03-08 14:30")


def test_days_end_with_the_clock_of_their_zone():
    days = pd.DatetimeIndex(["2024-03-08", "2024-03-10", "2024-11-03"])  # the clock changes twice
    ends = day_ends(days, "America/New_York")
    assert [str(t) for t in ends] == [
        "2024-03-09 05:00:00+00:00", "2024-03-11 04:00:00+00:00", "2024-11-04 05:00:00+00:00",
    ]  # fmt: skip
    # Beirut's clock went back at midnight: the day ends at the later one.
    assert str(day_ends(pd.DatetimeIndex(["2021-10-30"]), "Asia/Beirut")[0]) == (
        "2021-10-30 22:00:00+00:00"
    )


def test_what_was_not_asked_for_is_left_out():
    found = final(bars(hours("2024-03-07 22:00", 4)))
    assert str(found.frame.index[0]) == "2024-03-08 01:00:00+00:00"
    days = bars(pd.DatetimeIndex(["2024-03-07", "2024-03-08", "2024-03-11", "2024-03-12"]))
    assert len(final(days, "1d").frame) == 2


def test_rows_without_prices_are_counted():
    frame = bars(hours("2024-03-08 14:00", 3))
    frame.iloc[1, :4] = np.nan
    found = final(frame)
    assert (len(found.frame), found.empty) == (2, 1)


def test_equal_rows_of_one_time_are_one_and_others_an_error():
    frame = bars(hours("2024-03-08 14:00", 2))
    twice = pd.concat([frame, frame.iloc[:1]])
    assert len(final(twice).frame) == 2
    twice.iloc[2, 3] = 2.0
    with pytest.raises(VendorError, match=r"two bars close at 2024-03-08 15:00:00.*differ"):
        final(twice)


def test_missing_columns_and_texts_are_errors():
    frame = bars(hours("2024-03-08 14:00", 2))
    with pytest.raises(VendorError, match=r"has no high and no low; it has open, close, volume"):
        final(frame.drop(columns=["high", "low"]))
    with pytest.raises(VendorError, match=r"close must be numbers. Got 'x'"):
        final(frame.astype({"close": object}).assign(close="x"))


@pytest.mark.parametrize("text", ["", "1", "d", "0m", "2d", "1w", "1.5h", "1H"])
def test_other_intervals(text):
    with pytest.raises(ConfigError, match=r"such as 1m, 4h or 1d"):
        Interval.parse(text)


def test_requests_have_a_symbol_and_a_span():
    for symbol in ("", " A", "A\n"):
        with pytest.raises(ConfigError, match=r"the symbol must be"):
            make_request(symbol, Interval.parse("1d"), START, END)
    with pytest.raises(ConfigError, match=r"the end must be after the start"):
        make_request("A", Interval.parse("1d"), START, START)


class TestPages:
    every = bars(hours("2024-03-08", 10))
    hour = pd.Timedelta(1, "h")

    def pages(self, size):
        self.asked = []

        def page(start):
            self.asked.append(start)
            return self.every[self.every.index >= start].iloc[:size]

        return page

    @pytest.mark.parametrize("size", [1, 3, 5, 10, 100])
    def test_every_bar_comes_once(self, size):
        found = all_pages(self.pages(size), START, END, self.hour)
        pd.testing.assert_frame_equal(found, self.every, check_freq=False)

    def test_bars_from_the_end_on_are_left_out(self):
        found = all_pages(self.pages(4), START, START + 6 * self.hour, self.hour)
        assert len(found) == 6
        assert len(self.asked) == 2

    def test_a_server_that_repeats_itself_is_an_error(self):
        with pytest.raises(VendorError, match=r"paging does not advance"):
            all_pages(lambda start: self.every.iloc[:3], START, END, self.hour)

    def test_a_page_without_order_is_an_error(self):
        with pytest.raises(VendorError, match=r"not in order"):
            all_pages(lambda start: self.every.iloc[[1, 0]], START, END, self.hour)

    def test_a_gap_is_skipped_if_the_vendor_needs_that(self):
        def page(start):
            found = self.every.iloc[[0, 9]]
            inside = (found.index >= start) & (found.index < start + 2 * self.hour)
            return found[inside]

        assert len(all_pages(page, START, END, self.hour)) == 1
        assert len(all_pages(page, START, END, self.hour, 2 * self.hour)) == 2

    def test_no_pages_are_no_bars(self):
        assert all_pages(lambda start: pd.DataFrame(), START, END, self.hour).empty
