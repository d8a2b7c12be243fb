"""Every way in which a live bar can be wrong: one line, and not a byte of the state has changed."""

import datetime
import json
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from deployment_cases import COLUMNS
from policy_cases import random_policy

from reinforcestrategycreator_pipeline.deployment.brokers.simulated import PaperMarket
from reinforcestrategycreator_pipeline.deployment.live_bars import (
    RULES,
    BarRules,
    LiveBar,
    LiveBarError,
)
from reinforcestrategycreator_pipeline.deployment.paper import PaperTrader
from reinforcestrategycreator_pipeline.deployment.streaming import FeatureStream, recorded
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR

SPECS = (FeatureSpec("returns", {"horizons": (1, 2)}), FeatureSpec("rsi", {"period": 4}))


def session(days, first, last, freq, zone="America/New_York"):
    """Return the closes of the bars of a session on these days."""
    parts = [
        pd.date_range(f"{day.date()} {first}", f"{day.date()} {last}", freq=freq, tz=zone)
        for day in days
    ]
    return pd.DatetimeIndex(np.concatenate([part.as_unit("ns").asi8 for part in parts]), tz="UTC")


def walk(stamps, seed=0, sigma=0.01):
    """Return bars of a random walk that close at these times."""
    rng = np.random.default_rng(seed)
    n = len(stamps)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, sigma, n)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0.0, sigma / 3, n))
    columns = {
        "open": open_,
        "high": np.maximum(open_, close) * 1.001,
        "low": np.minimum(open_, close) * 0.999,
        "close": close,
        "volume": rng.uniform(1e5, 2e5, n).round(),
        "mood": rng.normal(size=n),
    }
    return pd.DataFrame(columns, index=stamps.as_unit("ns").rename("timestamp"))


NO_HOLIDAYS = pd.bdate_range("2021-01-04", "2022-12-30")
# As an exchange has them: the Thanksgivings, and a half session on the days after.
HOLIDAYS = pd.DatetimeIndex(["2021-11-25", "2022-11-24", "2021-12-24", "2022-12-26"])
HALF = pd.DatetimeIndex(["2021-11-26", "2022-11-25"])
DAILY = walk(
    session(NO_HOLIDAYS.difference(HOLIDAYS).difference(HALF), "16:00", "16:00", "D").union(
        session(HALF, "13:00", "13:00", "D")
    )
)
HOURLY = walk(session(NO_HOLIDAYS[-120:], "10:00", "16:00", "h"), sigma=0.003)
COIN = walk(pd.date_range("2021-01-02", "2022-12-31", freq="D", tz="UTC"))
COIN_HOURS = walk(pd.date_range("2022-10-01", "2022-12-31", freq="h", tz="UTC"), sigma=0.003)
WEEKLY = walk(pd.date_range("2018-01-05 21:00", "2022-12-31", freq="W-FRI", tz="UTC"))
MONTHLY = walk(pd.date_range("2010-01-31", "2022-12-31", freq="ME", tz="UTC"))
MINUTES = walk(session(NO_HOLIDAYS[-10:], "09:31", "16:00", "min"), sigma=0.0005)
HISTORIES = {
    "daily": DAILY, "hourly": HOURLY, "coin": COIN, "coin hours": COIN_HOURS, "weekly": WEEKLY,
    "monthly": MONTHLY, "minutes": MINUTES,
}  # fmt: skip
NOW = pd.Timestamp("2023-06-30", tz="UTC")


def trader_on(frame):
    """Return a trader in a position, at the last bar of a history."""
    rules = BarRules.of(frame, "A")
    names = ("log_return_1", "log_return_2", "rsi_4")
    stream = FeatureStream(SPECS, rules)
    policy = random_policy(3, (-1.0, 0.0, 1.0), names=names)
    stream.warm_up(frame)
    assert stream.row()[0] == names
    inputs = Inputs(names, stream._keep - 1, tuple(spec.to_mapping() for spec in SPECS))
    object.__setattr__(policy, "inputs", inputs)
    trader = PaperTrader(policy, rules, PaperMarket("A", 1e5, DEAR))
    trader.warm_up(frame.iloc[:-5])
    for bar in recorded(frame.iloc[-5:], "A"):
        trader.push(bar, confirmed=True, now=bar.time)
    return trader


TRADERS = {name: trader_on(frame) for name, frame in HISTORIES.items()}


def state_of(trader):
    """Return every byte of a trader's state."""
    tensors, header = trader.to_parts()
    assert tensors.keys() == {"bars"}
    return tensors["bars"].tobytes() + json.dumps(header).encode()


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Return a function from a history to a copy of its trader."""
    folder = tmp_path_factory.mktemp("traders")
    for name, trader in TRADERS.items():
        trader.save(folder / name)
    return lambda name: PaperTrader.load(
        folder / name, TRADERS[name].policy, TRADERS[name].stream.rules
    )


def next_bar(frame, **changes):
    """Return plausible values after the last bar."""
    close = frame["close"].iloc[-1]
    values = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close * 1.005}
    return {**values, "volume": 150_000.0, "mood": 0.0, **changes}


def ny(text):
    return pd.Timestamp(text, tz="America/New_York")


def utc(text):
    return pd.Timestamp(text, tz="UTC")


# The bar that comes next: a Tuesday, as the Monday after New Year is a holiday.
MONDAY, TUESDAY = ny("2023-01-02 16:00"), ny("2023-01-03 16:00")
NEXT = {
    "daily": MONDAY, "hourly": ny("2023-01-02 10:00"), "coin": utc("2023-01-01"),
    "coin hours": utc("2022-12-31 01:00"), "weekly": utc("2023-01-06 21:00"),
    "monthly": utc("2023-01-31"), "minutes": ny("2023-01-02 09:31"),
}  # fmt: skip
LAST = DAILY["close"].iloc[-1]
NAN, INF = float("nan"), float("inf")

TIMES = [  # history, time of the bar, broken rule, part of the line
    ("daily", "2023-01-02 16:00", "time zone", "with a time zone. Got '2023-01-02 16:00'"),
    ("daily", pd.Timestamp("2023-01-02 21:00"), "time zone", "with a time zone"),
    ("daily", np.datetime64("2023-01-02T21:00"), "time zone", "with a time zone"),
    ("daily", pd.NaT, "time zone", "Got NaT"),
    ("daily", None, "time zone", "Got None"),
    ("daily", 1672693200, "time zone", "Got 1672693200"),
    ("daily", "next Monday", "time zone", "Got 'next Monday'"),
    ("daily", "9999-12-31 00:00+00:00", "time zone", "Got '9999"),
    ("daily", [1, 2], "time zone", "Got [1, 2]"),
    ("daily", ny("2023-07-03 16:00"), "future", "must have closed. It is now 2023-06-30"),
    ("daily", ny("2022-12-30 16:00"), "duplicate", "another open, high, low, close, volume, mood"),
    ("daily", ny("2022-12-29 16:00"), "late", "the last bar was of 2022-12-30 21:00"),
    ("daily", ny("2005-01-03 16:00"), "late", "late or out of order"),
    ("daily", TUESDAY, "missing", "1 bar is missing since 2022-12-30 21:00:00+00:00, the first of "
     "2023-01-02 16:00 (America/New_York)"),
    ("daily", ny("2023-01-06 16:00"), "missing", "4 bars are missing"),
    ("daily", ny("2023-02-01 16:00"), "missing", "22 bars are missing"),
    ("daily", ny("2022-12-31 16:00"), "session", "on Monday to Friday at 13:00 or 16:00 (America/"
     "New_York). Got one that closes on Saturday 16:00"),
    ("daily", ny("2022-12-30 17:00"), "length", "at least 86400 seconds apart, as in the history. "
     "Got one 3600 seconds after"),
    ("daily", ny("2023-01-02 10:00"), "session", "closes on Monday 10:00 (America/New_York). Is it "
     "of another length?"),
    ("daily", utc("2023-01-03"), "session", "Monday 19:00"),  # the day alone, in UTC
    ("daily", ny("2022-12-30 23:30"), "length", "27000 seconds after"),
    ("hourly", ny("2023-01-02 11:00"), "missing", "the first of 2023-01-02 10:00 (America"),
    ("hourly", ny("2023-01-02 16:00"), "missing", "6 bars are missing"),
    ("hourly", ny("2023-01-03 10:00"), "missing", "7 bars are missing"),
    ("hourly", ny("2023-01-02 10:15"), "session", "7 times from 10:00 to 16:00 (America/New_York)"),
    ("hourly", ny("2023-01-02 09:31"), "session", "Monday 09:31"),
    ("hourly", ny("2022-12-30 16:01"), "length", "at least 3600 seconds apart"),
    ("hourly", ny("2022-12-30 20:00"), "session", "Friday 20:00"),
    ("minutes", ny("2023-01-02 09:33"), "missing", "2 bars are missing"),
    ("minutes", ny("2023-01-02 16:00"), "missing", "389 bars are missing"),
    ("minutes", ny("2023-01-02 09:31:30"), "session", "from 14:31 to 21:00 (UTC). Got "
     "one that closes on Monday 14:31:30 (UTC)"),
    ("minutes", ny("2022-12-30 16:00:01"), "length", "at least 60 seconds apart"),
    ("coin", utc("2023-01-02"), "missing", "1 bar is missing since 2022-12-31 00:00:00+00:00, the "
     "first of 2022-12-31 24:00 (UTC)"),
    ("coin", utc("2023-01-01 01:00"), "session", "on Monday to Sunday at 24:00 (UTC)"),
    ("coin", utc("2022-12-31 01:00"), "length", "3600 seconds after the last"),
    ("coin hours", utc("2022-12-31 02:00"), "missing", "1 bar is missing"),
    ("coin hours", utc("2023-01-01 00:00"), "missing", "23 bars are missing"),
    ("coin hours", utc("2022-12-31 01:30"), "session", "01:30"),
    ("weekly", utc("2023-01-13 21:00"), "missing", "the first of about 2023-01-06 21:00"),
    ("weekly", utc("2022-12-31 21:00"), "length", "at least 604800 seconds apart"),
    ("monthly", utc("2023-02-28"), "missing", "1 bar is missing"),
    ("monthly", utc("2023-01-03"), "length", "Is it of another length?"),
]  # fmt: skip

VALUES = [  # changes of a daily bar that is right otherwise
    *(({name: bad}, "number", f"{name} must be a number, finite and > 0. Got {bad!r}")
      for name in COLUMNS[:4] for bad in (NAN, INF, -INF, 0.0, -1.0, "101.5", None, True)),
    *(({"volume": bad}, "number", f"volume must be a number, finite and >= 0. Got {bad!r}")
      for bad in (NAN, INF, -1.0, "many")),
    *(({"mood": bad}, "number", f"mood must be a number, finite. Got {bad!r}")
      for bad in (NAN, INF, "good", 1j)),
    ({"close": 10**400}, "number", "close must be a number"),
    ({"mood": -1e31}, "number", "mood must be a number, at most 1e+30 in size"),  # as in a file
    ({"volume": 1e31}, "number", "volume must be a number, at most 1e+30 in size"),
    ({"high": LAST * 0.9}, "range", "high must be >= open, low and close"),
    ({"low": LAST * 1.009}, "range", "low must be <= open, high and close"),
    ({"high": LAST * 0.98, "low": LAST * 0.99}, "range", "high must be"),
    ({"close": LAST * 1.02}, "range", "high must be"),
]  # fmt: skip
for factor, rule, found in (
    (1 / 2, "split", "2:1 split"), (2, "split", "1:2 split"), (2 / 3, "split", "3:2 split"),
    (1 / 10, "split", "10:1 split"), (1 / 100, "split", "100:1 split"), (100, "split", "1:100"),
    (1000, "jump", "by a factor of 1e+03"), (1.3, "jump", "a factor of 1.3"),
    (1e-20, "jump", "Is it in another unit?"), (1e20, "jump", "Is it in another unit?"),
    (1e-300, "number", "a price at least 1e-30"), (1e300, "number", "at most 1e+30 in size"),
    (4.18, "jump", "a factor of 4.18"),
):  # fmt: skip
    values = {k: v * factor for k, v in next_bar(DAILY).items() if k in COLUMNS[:4]}
    VALUES.append((values, rule, found))
VALUES += [
    ({"high": LAST * 3}, "jump", "the price moves from low to high by a factor of 3.03"),
    ({"volume": 150.0}, "volume", "the volume is 150; in the last bars of the history it was"),
    ({"volume": 1.5e8}, "volume", "Is it in another unit?"),
]


def bar_after(history, time, **changes):
    return LiveBar("A", time, next_bar(HISTORIES[history], **changes))


WRONG = [
    *((history, bar_after(history, time), rule, found) for history, time, rule, found in TIMES),
    *(("daily", bar_after("daily", MONDAY, **new), rule, found) for new, rule, found in VALUES),
    ("daily", LiveBar("A", DAILY.index[-1], dict(DAILY.iloc[-1])), "duplicate", "it is the same."),
    ("daily", LiveBar("B", MONDAY, next_bar(DAILY)), "symbol", "A: a bar must be of this symbol"),
    ("daily", LiveBar("a", MONDAY, next_bar(DAILY)), "symbol", "Got one of 'a'"),
    ("daily", LiveBar(None, MONDAY, next_bar(DAILY)), "symbol", "Got one of None"),
    *(("daily", LiveBar("A", MONDAY, {k: v for k, v in next_bar(DAILY).items() if k != name}),
       "column", f"the column {name!r} is missing") for name in (*COLUMNS, "mood")),
    ("daily", LiveBar("A", MONDAY, {**next_bar(COIN), "open": None, "clsoe": 1.0}), "number", "op"),
    ("daily", LiveBar("A", MONDAY, {"clsoe" if k == "close" else k: v
                                    for k, v in next_bar(DAILY).items()}), "column",
     "the column 'close' is missing. Did you mean 'clsoe'?"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("history", "bar", "rule", "found"),
    WRONG,
    ids=[f"{rule}-{history}-{i}" for i, (history, _, rule, _) in enumerate(WRONG)],
)
def test_a_wrong_bar_is_refused_with_one_line_and_changes_nothing(history, bar, rule, found, copy):
    trader = TRADERS[history]
    before = state_of(trader)
    with pytest.raises(LiveBarError) as caught:
        trader.push(bar, now=NOW)
    line = str(caught.value)
    assert caught.value.rule == rule
    assert found in line
    assert line.startswith("A")
    assert "\n" not in line
    assert len(line) < 400
    assert state_of(trader) == before
    with pytest.raises(LiveBarError) as again:
        trader.stream.push(bar, now=NOW)
    assert str(again.value) == line
    assert state_of(trader) == before
    assert caught.value.confirmable == RULES[rule] == ("confirmed=True" in line)
    if not caught.value.confirmable:
        with pytest.raises(LiveBarError, match=f"^{line[:20]}"):
            trader.push(bar, confirmed=True, now=NOW)
        assert state_of(trader) == before
        return
    # A bar that may be real is taken if the caller says that it is.
    assert copy(history).push(bar, confirmed=True, now=NOW).time == bar.time


def test_every_rule_is_broken_by_a_bar_of_the_table():
    assert {rule for _, _, rule, _ in WRONG} == set(RULES)


@pytest.mark.parametrize("history", HISTORIES)
def test_the_next_bar_is_taken(history, copy):
    other = copy(history)
    bar = bar_after(history, NEXT[history])
    assert other.push(bar, now=NOW).time == other.time == NEXT[history]
    assert other.stream.count == TRADERS[history].stream.count + 1


def test_a_refused_bar_does_not_stand_in_the_way_of_the_right_one(copy):
    right, alone, after = bar_after("daily", MONDAY), copy("daily"), copy("daily")
    for bar in [bar for history, bar, _, _ in WRONG if history == "daily"]:
        with pytest.raises(LiveBarError):
            after.push(bar, now=NOW)
    expected, found = alone.push(right, now=NOW), after.push(right, now=NOW)
    assert (found.equity, found.target, found.fills) == (
        expected.equity, expected.target, expected.fills,
    )  # fmt: skip
    assert state_of(after) == state_of(alone)


def count_refusals(frame, history=None):
    """Push every bar of a frame; return how many had to be confirmed, by rule, and the times."""
    rules, found, last = BarRules.of(frame if history is None else history, "A"), [], None
    for bar in recorded(frame.iloc[-1500:], "A"):
        try:
            rules.check(bar, last, now=NOW)
        except LiveBarError as error:
            found.append((error.rule, str(bar.time.tz_convert("America/New_York").date())))
        last = rules.check(bar, last, confirmed=True, now=NOW)
    return found


def test_a_weekend_is_nothing_missing_and_a_holiday_is_confirmed():
    assert count_refusals(DAILY) == [
        ("missing", "2021-11-26"),
        ("missing", "2021-12-27"),
        ("missing", "2022-11-25"),
        ("missing", "2022-12-27"),
    ]


def others():
    """Return bars of other markets: currencies, a lunch break, dates alone, bars of any length."""
    week = pd.date_range("2021-12-05 18:00", "2022-04-15 17:00", freq="h", tz="America/New_York")
    day, hour = week.day_of_week, week.hour
    is_open = (day < 4) | ((day == 4) & (hour <= 17)) | ((day == 6) & (hour >= 18))
    days = pd.bdate_range("2022-01-03", "2022-12-30")
    lunch = session(days, "10:00", "11:30", "30min", "Asia/Tokyo")
    rng = np.random.default_rng(0)
    ticks = pd.Timestamp("2022-03-01", tz="UTC") + pd.to_timedelta(
        np.cumsum(rng.exponential(600.0, 4000)).round(1), unit="s"
    )
    return {
        "currency": week[is_open & (hour != 17) | (day == 4) & (hour == 17)],
        "lunch": lunch.union(session(days, "13:00", "15:00", "30min", "Asia/Tokyo")),
        "dates": pd.bdate_range("2021-01-05", "2022-12-30").tz_localize("UTC"),
        "by volume": ticks,
        "quarters": pd.date_range("2001-03-31", "2022-12-31", freq="QE", tz="UTC"),
    }


OTHERS = {
    name: walk(pd.DatetimeIndex(s).tz_convert("UTC"), 0, 0.002) for name, s in others().items()
}


@pytest.mark.parametrize("history", [*[name for name in HISTORIES if name != "daily"], *OTHERS])
def test_nothing_is_missing_where_nothing_is(history):
    assert count_refusals({**HISTORIES, **OTHERS}[history]) == []


@pytest.mark.parametrize(
    ("history", "row", "rule"),
    [("currency", 777, "missing"), ("lunch", 5, "missing"), ("dates", 100, "missing"),
     ("quarters", 30, "missing"), ("currency", 2000, "missing")],
)  # fmt: skip
def test_a_bar_that_is_left_out_is_missing(history, row, rule):
    frame = OTHERS[history]
    rules = BarRules.of(frame, "A")
    before, _, after = recorded(frame.iloc[row : row + 3], "A")
    with pytest.raises(LiveBarError) as caught:
        rules.check(after, (before.time, before.values), now=after.time)
    assert (caught.value.rule, "1 bar is missing" in str(caught.value)) == (rule, True)


def test_clocks_that_change_are_nothing_missing():
    # 2022-11-06 and 2023-03-12: 21 and 20 o'clock in UTC. The calendar has seen one change.
    live = walk(
        session(pd.bdate_range("2023-01-02", "2023-04-28"), "10:00", "16:00", "h"), 1, 0.003
    )
    assert len(set(live.index.time)) == 8
    assert count_refusals(live, HOURLY) == []
    london = session(
        pd.bdate_range("2021-01-04", "2022-12-30"), "16:30", "16:30", "D", "Europe/London"
    )
    rules = BarRules.of(walk(london), "A")
    assert rules.calendar.zone == "Europe/London"
    assert rules.calendar.describe() == "on Monday to Friday at 16:30 (Europe/London)"


def test_a_short_history_has_seen_no_clocks_change_and_needs_its_zone():
    live = walk(session(pd.bdate_range("2023-03-10", "2023-03-14"), "09:31", "16:00", "min"))
    live[["open", "high", "low", "close"]] = 100.0
    blind, knowing = (BarRules.of(MINUTES, "A", zone=z) for z in (None, "America/New_York"))
    assert (blind.calendar.zone, knowing.calendar.zone) == ("UTC", "America/New_York")
    friday, monday = recorded(live.iloc[389:391], "A")
    last = friday.time, friday.values
    knowing.check(monday, last, now=NOW)
    with pytest.raises(LiveBarError, match="closes on Monday 13:31"):
        blind.check(monday, last, now=NOW)


def test_sessions_of_long_ago_do_not_count():
    # Saturdays, and a close at 15:30, as in New York before 1974.
    days = pd.date_range("1950-01-02", "1951-12-29")
    old = session(days[days.day_of_week < 6], "15:30", "15:30", "D")
    frame = walk(old.union(DAILY.index))
    rules = BarRules.of(frame, "A").calendar
    assert rules.describe() == "on Monday to Friday at 13:00 or 16:00 (America/New_York)"


def test_a_few_bars_say_little_and_refuse_little():
    frame = DAILY.iloc[:5]
    rules = BarRules.of(frame, "A")
    assert rules.calendar.regular == ()
    stream = FeatureStream(SPECS, rules)
    stream.warm_up(frame)
    values = {**dict(frame.iloc[-1]), "mood": 1.0}
    stream.push(LiveBar("A", frame.index[-1] + pd.Timedelta(30, "h"), values), now=NOW)
    with pytest.raises(LiveBarError, match="about"):
        stream.push(LiveBar("A", frame.index[-1] + pd.Timedelta(90, "h"), values), now=NOW)


def test_a_history_with_a_wrong_bar_is_not_taken_at_all():
    stream = FeatureStream(SPECS, BarRules.of(DAILY, "A"))
    stream.warm_up(DAILY.iloc[:300].assign(symbol="A"))  # other columns do not matter
    before = stream.to_parts()
    bad = DAILY.iloc[300:320].copy()
    bad.loc[bad.index[-1], "high"] = 1.0
    with pytest.raises(LiveBarError, match="high must be"):
        stream.warm_up(bad)
    with pytest.raises(LiveBarError, match="the column 'mood' is missing"):
        stream.warm_up(DAILY.iloc[300:320].drop(columns="mood"))
    after = stream.to_parts()
    assert (after[0]["bars"].tobytes(), after[1]) == (before[0]["bars"].tobytes(), before[1])
    stream.warm_up(DAILY.iloc[300:320])
    assert stream.count == 320


def test_the_first_bar_of_a_stream_has_no_bar_before():
    stream = FeatureStream(SPECS, BarRules.of(DAILY, "A"))
    stream.push(bar_after("daily", ny("2023-06-29 16:00"), open=LAST * 1.005), now=NOW)
    assert stream.count == 1


def test_the_clock_of_the_system_is_the_default():
    stream = FeatureStream(SPECS, BarRules.of(DAILY, "A"))
    soon = pd.Timestamp.now("UTC") + pd.Timedelta(1, "h")
    with pytest.raises(LiveBarError, match="It is now"):
        stream.push(bar_after("daily", soon))
    stream.push(bar_after("daily", MONDAY))


@pytest.mark.parametrize("history", HISTORIES)
def test_rules_are_what_they_were_after_a_file(history):
    rules = BarRules.of(HISTORIES[history], "A", COLUMNS)
    text = json.dumps(rules.to_json())
    assert BarRules.from_json("A", json.loads(text)) == rules
    assert len(text) < 1500


@pytest.mark.parametrize(
    "change",
    [
        {"columns": ["open"]},
        {"gap_sigma": -1.0},
        {"largest_move": NAN},
        {"volumes": [1.0]},
        {"calendar": {}},
        {"calendar": {**BarRules.of(DAILY, "A").calendar.to_json(), "zone": "../etc"}},
        {"calendar": {**BarRules.of(DAILY, "A").calendar.to_json(), "times": [[0, 1, 10**18]]}},
        {"calendar": {**BarRules.of(DAILY, "A").calendar.to_json(), "regular": [[]]}},
        {"calendar": {**BarRules.of(DAILY, "A").calendar.to_json(), "bar_seconds": 0.0}},
    ],
)
def test_rules_that_are_none_are_refused(change):
    with pytest.raises((KeyError, TypeError, ValueError)):
        BarRules.from_json("A", {**BarRules.of(DAILY, "A").to_json(), **change})


@pytest.mark.parametrize(
    ("frame", "symbol", "message"),
    [
        (DAILY.drop(columns="low"), "A", "A: the bars have no column low"),
        (DAILY, "", "the bars need a symbol"),
        (DAILY.iloc[:1], "A", r"at least two bars, in order.* Got 1 bars"),
        (DAILY.iloc[::-1], "A", "in order of time"),
        (DAILY.tz_localize(None), "A", "with a time zone.* time zone None"),
    ],
)
def test_a_history_that_gives_no_rules_is_refused(frame, symbol, message):
    with pytest.raises(DataError, match=message):
        BarRules.of(frame, symbol)


JUNK = [
    None, True, 0, -0.0, -1, 1.5, NAN, INF, 10**400, 1e308, 5e-324, "", "1.5", "x" * 500, b"1", [],
    [1], {}, np.float32(3.2), np.int64(4), np.array(2.0), np.array([1.0, 2.0]), Fraction(1, 3),
    Decimal("1.5"), pd.NA, pd.NaT, object(), 1j, pd.Series([1.0]), pd.Timedelta(1), MONDAY,
    datetime.date(2023, 1, 2), np.datetime64("NaT"), "2023-01-02T16:00-05:00", "2023-01-02\n16:00",
    pd.Timestamp.max.tz_localize("UTC"), pd.Timestamp.min.tz_localize("UTC"),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_is_taken_or_refused_with_one_line(seed):
    rng, trader = np.random.default_rng(seed), TRADERS["daily"]
    before, taken, lines = state_of(trader), 0, []
    for _ in range(400):
        bar = {"symbol": "A", "time": MONDAY, "values": next_bar(DAILY)}
        for _ in range(rng.integers(1, 4)):
            name = rng.choice(["symbol", "time", "values", *COLUMNS, "mood"])
            junk = JUNK[rng.integers(len(JUNK))]
            if name in bar and (name != "values" or rng.random() < 0.2):
                bar[name] = junk
            elif isinstance(bar["values"], dict):
                bar["values"][str(name)] = junk
        try:
            trader.stream.check(LiveBar(**bar), confirmed=bool(rng.random() < 0.5), now=NOW)
            taken += 1
        except LiveBarError as error:
            lines.append(str(error))
    assert max(map(len, lines)) < 400
    assert "\n" not in "".join(lines)
    assert 0 < taken < 200
    assert state_of(trader) == before


def test_what_is_no_live_bar_says_what_one_is():
    stream = TRADERS["daily"].stream
    with pytest.raises(
        ConfigError, match=r"must be LiveBar\(symbol, time, values\)\. Got \{'open'"
    ):
        stream.push(next_bar(DAILY))
    with pytest.raises(ConfigError, match=r"must be BarRules, as from .* Got a tuple\."):
        FeatureStream(SPECS, COLUMNS)
