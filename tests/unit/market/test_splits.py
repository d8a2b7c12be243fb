import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.market.windows import (
    SplitConfig,
    Windows,
    bars_needed,
    windows_of,
)


def days(n, start="2024-01-01"):
    return pd.date_range(start, periods=n, tz="UTC", name="timestamp")


def positions(stamps, window):
    found = [np.flatnonzero(span.mask(stamps)) for _, span in window.items()]
    return [(int(rows[0]), int(rows[-1])) for rows in found]


def single(stamps, **given):
    (window,) = windows_of(stamps, SplitConfig("single", **given)).judged
    return window


def test_fractions_by_hand():
    # 100 bars: test = last 20 (80..99), embargo 75..79, validation 55..74, embargo 50..54.
    stamps = days(100)
    assert positions(stamps, single(stamps)) == [
        (0, 49), (55, 74), (80, 99),
    ]  # fmt: skip


def test_dates_by_hand():
    # Bars close at 00:00, so the bar stamped 2024-02-01 is January's and not in the span.
    stamps = days(100)
    dates = {"validation_start": "2024-02-01", "test_start": "2024-03-01"}
    splits = single(stamps, embargo_bars=2, **dates)
    assert str(splits.train.end) == "2024-01-30 00:00:00+00:00"
    assert str(splits.validation.start) == "2024-02-02 00:00:00+00:00"
    assert str(splits.validation.end) == "2024-02-28 00:00:00+00:00"
    assert str(splits.test.start) == "2024-03-02 00:00:00+00:00"
    assert splits.test.end == stamps[-1]


@pytest.mark.parametrize("embargo", [0, 1, 7])
@pytest.mark.parametrize("n", [60, 61, 997])
def test_spans_are_disjoint_ordered_and_embargoed(n, embargo):
    stamps = days(n)
    spans = positions(stamps, single(stamps, embargo_bars=embargo))
    for (_, end), (start, _) in pairwise(spans):
        assert start - end - 1 == embargo
    assert spans[0][0] == 0
    assert spans[2][1] == n - 1


def test_appending_bars_does_not_move_spans_set_by_dates():
    dates = {"validation_start": "2024-02-01", "test_start": "2024-03-01"}
    short, long = (single(days(n), **dates) for n in (90, 400))
    assert (short.train, short.validation) == (long.train, long.validation)


SHAPES = [
    {"kind": "single"},
    {"kind": "single", "validation": 0.5, "test": 0.01, "embargo_bars": 40},
    {},
    {"anchored": False},
    {"windows": 1},
    {"windows": 30, "anchored": False, "embargo_bars": 0},
    {"windows": 7, "test": 0.9, "validation": 0.05, "embargo_bars": 1},
    {"windows": 3, "test": 0.003},
]


@pytest.mark.parametrize("given", SHAPES, ids=str)
def test_too_short_says_how_many_bars_are_needed(given):
    config = SplitConfig(**given)
    needed = bars_needed(config)
    windows_of(days(needed, "1700-01-01"), config)
    with pytest.raises(DataError, match=f"{needed - 1} bars .* At least {needed} bars are needed"):
        windows_of(days(needed - 1, "1700-01-01"), config)


def test_walking_forward_by_hand():
    # 100 bars, 50 of which judge, in parts of 12, 13, 12 and 13: 50-61, 62-74, 75-86, 87-99.
    # Validation is a fifth of the bars to the end of a part: 12.4 of 62, 15 of 75, 17.4, 20.
    stamps = days(100)
    found = windows_of(stamps, SplitConfig(windows=4, embargo_bars=2))
    assert [positions(stamps, window) for window in found.all] == [
        [(0, 33), (36, 47), (50, 61)],
        [(0, 42), (45, 59), (62, 74)],
        [(0, 53), (56, 72), (75, 86)],
        [(0, 62), (65, 84), (87, 99)],
        [(0, 77), (80, 99)],  # the deployed policy's
    ]
    assert (found.test.start, found.test.end) == (stamps[50], stamps[99])
    assert found.starts == tuple(stamps[[50, 62, 75, 87]].as_unit("ns").asi8)


def test_rolling_windows_forget():
    stamps = days(100)
    found = windows_of(stamps, SplitConfig(windows=4, embargo_bars=2, anchored=False))
    assert [positions(stamps, window) for window in found.all] == [
        [(0, 33), (36, 47), (50, 61)],
        [(12, 44), (47, 59), (62, 74)],
        [(25, 58), (61, 72), (75, 86)],
        [(37, 69), (72, 84), (87, 99)],
        [(50, 87), (90, 99)],
    ]


@pytest.mark.parametrize("given", SHAPES, ids=str)
@pytest.mark.parametrize("n", [2_000, 2_297])
def test_every_window_learns_from_the_past_alone(given, n):
    config, stamps = SplitConfig(**given), days(n, "1980-01-01")
    found = windows_of(stamps, config)
    assert len(found.judged) == (1 if config.kind == "single" else config.windows)
    before = None
    for window in found.judged:
        spans = positions(stamps, window)
        for (_, end), (start, _) in pairwise(spans):
            assert start - end - 1 == config.embargo_bars
        if before is not None:
            assert spans[-1][0] == before + 1  # no test bar twice, none left out
        before = spans[-1][1]
    assert before == n - 1
    if found.deployed is not None:
        train, validation = positions(stamps, found.deployed)
        assert validation[0] - train[1] - 1 == config.embargo_bars
        assert validation[1] == n - 1
    assert Windows.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_dates_outside_the_data_say_what_the_data_are():
    with pytest.raises(DataError, match=r"test 0; .* run from 2024-01-01 to 2024-04-09"):
        single(days(100), test_start="2030-01-01")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"validation": 0.0},
            r"validation parameter of SplitConfig must be a number in \[0\.0001, 1\)\.",
        ),
        ({"test": 1.0}, "The test parameter"),
        ({"validation": 0.6, "test": 0.5}, "leave bars to train on beside a test share of 0.5"),
        ({"kind": "twice"}, "kind"),
        ({"windows": 0}, r"windows parameter of SplitConfig must be an integer in \[1, 1000\]"),
        (
            {"kind": "walk_forward", "validation_start": "2024-03-01"},
            "left out when walking forward: each window has its own",
        ),
        ({"embargo_bars": -1}, r"an integer in \[0, 1e7\]. Got -1"),
        ({"embargo_bars": True}, r"an integer in \[0, 1e7\]"),
        ({"test_start": "01/02/2024"}, "test_start parameter of SplitConfig must be an ISO 8601"),
        (
            {"validation_start": "2024-03-01", "test_start": "2024-02-01"},
            "validation_start parameter of SplitConfig must be before test_start",
        ),
    ],
)
def test_config_refusals(values, message):
    with pytest.raises(ConfigError, match=message):
        SplitConfig(**{"kind": "single", **values})


def test_unsorted_stamps_are_refused():
    with pytest.raises(DataError, match="strictly increasing"):
        windows_of(days(50)[::-1], SplitConfig())
