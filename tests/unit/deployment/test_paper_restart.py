"""Paper trading that is stopped and goes on decides the same, to the bit, wherever it stops."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from policy_cases import random_policy
from rest_venue import RestVenue
from test_rest_broker import RestBroker

from reinforcestrategycreator_pipeline import feature
from reinforcestrategycreator_pipeline.deployment.brokers.base import Order, OrderError, Orders
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import (
    PaperMarket,
    SimulatedBroker,
)
from reinforcestrategycreator_pipeline.deployment.live_bars import BarRules, LiveBar, LiveBarError
from reinforcestrategycreator_pipeline.deployment.paper import PaperTrader
from reinforcestrategycreator_pipeline.deployment.streaming import FeatureStream, recorded
from reinforcestrategycreator_pipeline.errors import (
    CheckpointError,
    ConfigError,
    FeatureError,
    RunError,
)
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import ScalerConfig
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.policies.baselines import CrossoverPolicy
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors, write_tensors
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR

HERE = __name__
CASH = 100_000.0


@feature
def ewm(bars, halflife=40):
    """A user's recursive mean: depends on every bar since the start, and declares nothing."""
    mean = pd.Series(bars["close"]).ewm(halflife=halflife, adjust=False).mean()
    return (bars["close"] / mean - 1.0).to_numpy()


@feature
def fragile(bars):
    """Fails for a close above 1,000."""
    out = np.log(np.maximum(1000.0 - bars["close"], 0.0) + 1e-300)
    return np.where(bars["close"] > 1000.0, np.inf, out)


fragile.lookback = 0

RSI = FeatureSpec("rsi")
EWM = FeatureSpec(f"{HERE}:ewm")
SETS = {
    "ewm": (EWM,),
    "rsi": (RSI,),
    "default": tuple(DEFAULT_FEATURES),
    "together": (EWM, RSI, FeatureSpec("talib", {"function": "ADX"}), FeatureSpec("macd")),
}


def policy_for(specs, frame, seed=0):
    table = compute_features(frame, specs)
    names = table.names
    return dataclasses.replace(
        random_policy(len(names), (-1.0, 0.0, 1.0), seed, names=names),
        scaler=ScalerConfig().fit(table.values[table.lookback :]),
        inputs=Inputs(names, table.lookback, tuple(spec.to_mapping() for spec in specs)),
    )


def begin(policy, frame, start, broker=SimulatedBroker, market=None):
    market = PaperMarket("A", CASH, DEAR) if market is None else market
    trader = PaperTrader(policy, BarRules.of(frame, "A"), market, broker)
    trader.warm_up(frame.iloc[:start])
    return trader


def state_of(trader):
    tensors, header = trader.to_parts()
    return tensors["bars"].tobytes() + json.dumps(header).encode()


def seen(bar):
    """Return everything of a bar, to the bit."""
    numbers = np.array([bar.equity, bar.exposure, bar.target]).tobytes()
    return bar.time, numbers, bar.features.tobytes(), bar.fills


def again(trader, path, broker=SimulatedBroker):
    trader.save(path)
    return PaperTrader.load(path, trader.policy, trader.stream.rules, broker)


@pytest.mark.parametrize("features", SETS)
def test_a_restart_after_every_bar_changes_nothing(features, tmp_path):
    # By induction, so does a restart after any bars: each state is that of the other trader.
    frame = make_bars(700)
    policy = policy_for(SETS[features], frame)
    start = max(policy.inputs.lookback, 600)
    whole = begin(policy, frame, start)
    parts = again(begin(policy, frame, start), tmp_path / "state")
    filled = 0
    for bar in recorded(frame.iloc[start : start + 40], "A"):
        expected, found = whole.push(bar, confirmed=True), parts.push(bar, confirmed=True)
        assert seen(found) == seen(expected)
        filled += len(found.fills)
        parts = again(parts, tmp_path / "state")
        assert state_of(parts) == state_of(whole)
        assert parts.account == whole.account
    assert filled > 10


@pytest.mark.parametrize("cut", [1, 2, 3, 11, 23])
def test_states_kept_for_long_are_as_good(cut, tmp_path):
    frame = make_bars(660, seed=1)
    policy = policy_for(SETS["together"], frame, seed=1)
    trader, expected = begin(policy, frame, 600), []
    for i, bar in enumerate(recorded(frame.iloc[600:630], "A")):
        if i == cut:
            trader.save(tmp_path / "state")
        expected.append(seen(trader.push(bar, confirmed=True)))
    late = PaperTrader.load(tmp_path / "state", policy, trader.stream.rules)
    rest = recorded(frame.iloc[600 + cut : 630], "A")
    assert [seen(late.push(bar, confirmed=True)) for bar in rest] == expected[cut:]


def test_a_policy_that_reads_prices_goes_on(tmp_path):
    frame = make_bars(300, seed=3)
    table = compute_features(frame, [FeatureSpec("returns", {"horizons": (1,)})])
    inputs = Inputs(table.names, 1, ({"name": "returns", "horizons": [1]},))
    policy = CrossoverPolicy((-1.0, 0.0, 1.0), inputs, 5, 50)
    whole = begin(policy, frame, 100)
    parts = begin(policy, frame, 100)
    for bar in recorded(frame.iloc[100:160], "A"):
        parts = again(parts, tmp_path / "state")
        assert seen(parts.push(bar, confirmed=True)) == seen(whole.push(bar, confirmed=True))
    assert len(whole.market.to_json()["known"]) > 3


def test_a_ruined_account_stays_ruined(tmp_path):
    frame = make_bars(300)
    frame.loc[frame.index[150] :, ["open", "high", "low", "close"]] *= 3.0
    policy = policy_for(SETS["rsi"], frame)
    policy = dataclasses.replace(policy, positions=(-5.0, 0.0, 5.0))
    whole, parts = begin(policy, frame, 250), begin(policy, frame, 250)
    frame.loc[frame.index[270] :, ["open", "high", "low", "close"]] *= 10.0
    frame.loc[frame.index[280] :, ["open", "high", "low", "close"]] /= 100.0
    for bar in recorded(frame.iloc[250:], "A"):
        parts = again(parts, tmp_path / "state")
        assert seen(parts.push(bar, confirmed=True)) == seen(whole.push(bar, confirmed=True))
    assert whole.account.blocked
    assert parts.account == whole.account


def test_a_broker_behind_a_server_goes_on(tmp_path):
    frame = make_bars(330)
    policy = policy_for(SETS["rsi"], frame)
    start = policy.inputs.lookback
    whole = begin(policy, frame, start)
    market = PaperMarket("A", CASH, DEAR)
    with RestVenue(market) as venue:

        def connect(own):
            # The venue trades on its own market; this one only sizes orders, and must be the same.
            return RestBroker(url=venue.url)

        parts = begin(policy, frame, start, connect, market)
        for i, bar in enumerate(recorded(frame.iloc[start : start + 30], "A")):
            assert seen(parts.push(bar, confirmed=True)) == seen(whole.push(bar, confirmed=True))
            if i % 7 == 3:
                parts.save(tmp_path / "state")
                parts = PaperTrader.load(tmp_path / "state", policy, parts.stream.rules, connect)
                parts.market = market  # the venue did not restart


def test_an_order_that_waits_and_news_that_were_not_read_survive():
    market = PaperMarket("A", CASH, DEAR)
    broker = SimulatedBroker(market)
    orders = Orders(broker)
    orders.submit(Order("early", "A", 2.5))
    broker.submit(Order("wrong", "B", 1.0))
    twin = PaperMarket.from_json(json.loads(json.dumps(market.to_json())))
    twins = Orders(SimulatedBroker(twin))
    twins.restore(json.loads(json.dumps(orders.to_json())))
    assert twins.states == orders.states == {"early": "submitted"}
    twins.restore([{"client_id": "wrong", "symbol": "B", "quantity": 1.0, "left": 1.0,
                    "state": "submitted"}])  # fmt: skip
    for one in (market, twin):
        one.close(10.0, 1)
        one.open(11.0, 2)
        one.take(Order("early", "A", 2.5))  # sent again after a restart
    assert twin.to_json() == market.to_json()
    told = [(u.client_id, u.state, u.reason) for u in twins.poll()]
    assert told == [("early", "accepted", ""), ("wrong", "rejected", "this account trades A only"),
                    ("early", "filled", "")]  # fmt: skip
    assert twin.ledger.equity == market.ledger.equity
    with pytest.raises(OrderError, match="'early' belongs to a different order"):
        twins.submit(Order("early", "A", 3.0))


def test_a_stream_alone_goes_on(tmp_path):
    frame = make_bars(500)
    for name, specs in SETS.items():
        rules = BarRules.of(frame, "A")
        whole, parts = FeatureStream(specs, rules), FeatureStream(specs, rules)
        for bar in recorded(frame, "A"):
            whole.push(bar, confirmed=True)
            parts.push(bar, confirmed=True)
            if parts.count in (1, 2, 77, 256, 257, 431):
                parts.save(tmp_path / name)
                parts = FeatureStream.load(tmp_path / name, specs, rules)
            if whole.count > 425:
                (names, row), (_, expected) = parts.row(), whole.row()
                assert row.tobytes() == expected.tobytes()
        assert (parts.count, parts.time, parts.symbol) == (500, frame.index[-1], "A")
        assert len(names) >= 1


PROGRAM = """
import sys, json, numpy as np
sys.path[:0] = sys.argv[3:]
import test_paper_restart as t
frame = t.make_bars(700)
policy = t.policy_for(t.SETS["together"], frame)
trader = t.PaperTrader.load(sys.argv[1], policy, t.BarRules.of(frame, "A"))
bars = [trader.push(b, confirmed=True) for b in t.recorded(frame.iloc[620:640], "A")]
print(json.dumps([repr(t.seen(bar)) for bar in bars]))
"""


@pytest.mark.slow
def test_another_process_goes_on(tmp_path):
    frame = make_bars(700)
    policy = policy_for(SETS["together"], frame)
    trader = begin(policy, frame, 610)
    bars = list(recorded(frame.iloc[610:640], "A"))
    for bar in bars[:10]:
        trader.push(bar, confirmed=True)
    trader.save(tmp_path / "state")
    expected = [repr(seen(trader.push(bar, confirmed=True))) for bar in bars[10:]]
    folders = [path for path in sys.path if Path(path, "policy_cases.py").exists()]
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        str(tmp_path / "state"),
        "-",
        str(Path(__file__).parent),
    ]
    done = subprocess.run([*command, *folders], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == expected


# -- what is not a state -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def trading(tmp_path_factory):
    """Return a trader in a position, and the file of its state."""
    frame = make_bars(330)
    policy = policy_for(SETS["rsi"], frame)
    trader = begin(policy, frame, 300)
    for bar in recorded(frame.iloc[300:310], "A"):
        trader.push(bar, confirmed=True)
    path = tmp_path_factory.mktemp("trading") / "state"
    trader.save(path)
    return trader, path


def refusal(path, trader, policy=None, rules=None):
    with pytest.raises(CheckpointError) as caught:
        PaperTrader.load(path, policy or trader.policy, rules or trader.stream.rules)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 400 + len(str(path))
    return str(caught.value)


def test_a_damaged_state_is_refused(trading, tmp_path):
    trader, path = trading
    data, bad = path.read_bytes(), tmp_path / "bad"
    for position in np.linspace(0, len(data) - 1, 40).astype(int):
        bad.write_bytes(bytes([*data[:position], data[position] ^ 8, *data[position + 1 :]]))
        refusal(bad, trader)
    for size in (0, 7, 100, len(data) // 2, len(data) - 1):
        bad.write_bytes(data[:size])
        refusal(bad, trader)
    assert "No such file" in refusal(tmp_path / "none", trader)


def test_a_state_of_something_else_is_refused(trading, tmp_path):
    trader, path = trading
    frame = make_bars(330)
    other = policy_for(SETS["rsi"], frame, seed=5)
    assert "the saved policy must be " in refusal(path, trader, policy=other)
    bigger = dataclasses.replace(trader.policy, positions=(-2.0, 0.0, 2.0))
    assert "the saved policy must be " in refusal(path, trader, policy=bigger)
    rules = BarRules.of(frame, "B")
    assert 'the saved rules.symbol must be "B". Got "A" instead.' in refusal(
        path, trader, rules=rules
    )
    rules = BarRules.of(frame, "A", frame.columns[:5])
    assert "the saved rules.columns must be" in refusal(path, trader, rules=rules)
    rules = BarRules.of(make_bars(200), "A")
    assert "the saved rules.gap_sigma must be 0.0" in refusal(path, trader, rules=rules)
    trader.policy.save(tmp_path / "policy")
    found = refusal(tmp_path / "policy", trader)
    assert "has the format 'policy/3'; 'paper-trader/1' is needed" in found
    trader.stream.save(tmp_path / "stream")
    assert "has the format 'feature-stream/1'" in refusal(tmp_path / "stream", trader)
    with pytest.raises(CheckpointError, match="the saved features must be"):
        FeatureStream.load(tmp_path / "stream", (EWM,), trader.stream.rules)


@pytest.mark.parametrize(
    "change",
    [
        lambda t, h: h.pop("held"),
        lambda t, h: h.update(held=7),
        lambda t, h: h.update(held=-1),
        lambda t, h: h.update(held="1"),
        lambda t, h: h.update(began=None),
        lambda t, h: h.update(orders=[{"client_id": "a"}]),
        lambda t, h: h.update(orders=3),
        lambda t, h: h.update(count=9),
        lambda t, h: h.update(count="310"),
        lambda t, h: h.update(time=None),
        lambda t, h: h.update(time=10**30),
        lambda t, h: h.update(market={}),
        lambda t, h: h["market"].update(ledger={}),
        lambda t, h: h["market"]["ledger"].update(cash="100"),
        lambda t, h: h["market"]["ledger"].update(ruined=0),
        lambda t, h: h["market"]["ledger"].update(price=-1.0),
        lambda t, h: h["market"].update(in_session="yes"),
        lambda t, h: h["market"].update(time=1.5),
        lambda t, h: h["market"].update(updates=[["a"]]),
        lambda t, h: h["market"].update(waiting=[{"client_id": ""}]),
        lambda t, h: h["market"]["costs"].update(commission_bps=-1.0),
        lambda t, h: h["market"]["costs"].update(unknown=1.0),
        lambda t, h: h.update(stream=None),
        lambda t, h: h.update(stream={"rules": []}),
        lambda t, h: t.clear(),
        lambda t, h: t.update(bars=t["bars"][:3]),
        lambda t, h: t.update(bars=t["bars"][:, 1:]),
        lambda t, h: t.update(bars=t["bars"].astype(np.float32)),
        lambda t, h: t.update(bars=t["bars"] * np.nan),
        lambda t, h: t.update(bars=t["bars"][0]),
    ],
)
def test_a_state_with_other_content_and_a_seal_that_fits_is_refused(change, trading, tmp_path):
    trader, path = trading
    tensors, header = read_tensors(path)
    change(tensors, header)
    write_tensors(tmp_path / "bad", tensors, header)
    refusal(tmp_path / "bad", trader)


def nodes(tree, way=()):
    """Yield the place of every value in a JSON tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*way, key)
        if isinstance(value, dict | list):
            yield from nodes(value, (*way, key))


@pytest.mark.parametrize("junk", [None, True, -1, 10**30, 1.5, 1e308, "x", [], [[]], {}, {"a": 1}])
def test_any_other_content_is_refused_with_one_line_or_can_be_traded_on(junk, trading, tmp_path):
    trader, path = trading
    tensors, header = read_tensors(path)
    text, bad, lines = json.dumps(header), tmp_path / "bad", []
    every = list(nodes(header))
    for i in np.random.default_rng(0).choice(len(every), 40, replace=False):
        way = every[i]
        changed = json.loads(text)
        *before, last = way
        place = changed
        for key in before:
            place = place[key]
        place[last] = junk
        write_tensors(bad, tensors, changed)
        try:
            loaded = PaperTrader.load(bad, trader.policy, trader.stream.rules)
        except CheckpointError as error:
            lines.append(str(error))
        else:
            loaded.to_parts()
    assert len(lines) > 20
    assert "\n" not in "".join(lines)


def test_loading_a_state_runs_no_code_that_it_names(trading, tmp_path):
    trader, path = trading
    tensors, header = read_tensors(path)
    header["stream"]["features"] = [{"name": "this_module_must_not_be_imported:feature"}]
    write_tensors(tmp_path / "evil", tensors, header)
    assert "the saved features must be" in refusal(tmp_path / "evil", trader)
    assert "this_module_must_not_be_imported" not in sys.modules


# -- failures in the middle of a bar -----------------------------------------------------------


def test_a_feature_that_fails_changes_nothing():
    frame = make_bars(60)
    specs = (FeatureSpec("returns", {"horizons": (1,)}), FeatureSpec(f"{HERE}:fragile"))
    trader = begin(policy_for(specs, frame), frame, 30)
    bars = list(recorded(frame.iloc[30:40], "A"))
    for bar in bars[:-1]:
        trader.push(bar, confirmed=True)
    before = state_of(trader)
    high = {**bars[-1].values, **dict.fromkeys(("open", "high", "low", "close"), 2000.0)}
    with pytest.raises(FeatureError, match="fragile"):
        trader.push(LiveBar("A", bars[-1].time, high), confirmed=True)
    assert state_of(trader) == before
    trader.push(bars[-1], confirmed=True)


class Unplugged(SimulatedBroker):
    """Planted: the line is cut once, before or after an order went out."""

    cut = ""

    def submit(self, order):
        if Unplugged.cut == "before":
            Unplugged.cut = ""
            raise ConnectionError("unplugged")
        super().submit(order)
        if Unplugged.cut == "after":
            Unplugged.cut = ""
            raise ConnectionError("unplugged")


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_broker_that_fails_stops_the_trader_which_goes_on_from_its_file(cut, tmp_path):
    frame = make_bars(330)
    policy = policy_for(SETS["rsi"], frame)
    whole = begin(policy, frame, 300)
    parts = begin(policy, frame, 300, Unplugged)
    path, failures = tmp_path / "state", 0
    for i, bar in enumerate(recorded(frame.iloc[300:], "A")):
        expected = whole.push(bar, confirmed=True)
        parts.save(path)
        Unplugged.cut = cut if i > 3 and not failures else ""
        try:
            found = parts.push(bar, confirmed=True)
        except ConnectionError:
            failures += 1
            with pytest.raises(
                RunError, match=r"A: the trader has stopped: ConnectionError at the"
            ):
                parts.push(bar, confirmed=True)
            with pytest.raises(RunError, match="cannot be saved"):
                parts.save(path)
            parts = PaperTrader.load(path, policy, parts.stream.rules, Unplugged)
            found = parts.push(bar, confirmed=True)
        assert seen(found) == seen(expected)
    assert failures == 1


@pytest.mark.parametrize(("new", "old"), [(2, 1), (1, 4), (3, 2)])
def test_after_a_split_trading_goes_on_as_with_adjusted_bars(new, old, tmp_path):
    frame = make_bars(330, seed=2)
    policy = policy_for(SETS["rsi"], frame, seed=1)
    prices, at, ratio = ["open", "high", "low", "close"], 315, new / old
    raw = frame.copy()
    raw.loc[raw.index[:at], prices] *= ratio
    raw.loc[raw.index[:at], "volume"] /= ratio
    rules = BarRules.of(raw.iloc[:at], "A")
    whole = begin(policy, frame, 300)
    parts = PaperTrader(policy, rules, PaperMarket("A", CASH, DEAR))
    parts.warm_up(raw.iloc[:300])
    pairs = zip(recorded(frame.iloc[300:], "A"), recorded(raw.iloc[300:], "A"), strict=True)
    fills = 0
    for i, (adjusted, bar) in enumerate(pairs):
        if 300 + i == at:
            with pytest.raises(
                LiveBarError, match=rf"a {new}:{old} split .* split\({new}, {old}\)"
            ):
                parts.push(bar)
            parts = again(parts, tmp_path / "state")
            equity = parts.account.equity
            parts.split(new, old)
            assert parts.account.equity == pytest.approx(equity, rel=1e-12)
            assert abs(parts.market.ledger.shares) > 1.0
            parts = again(parts, tmp_path / "state")
        expected, found = whole.push(adjusted, confirmed=True), parts.push(bar)
        np.testing.assert_allclose(found.features, expected.features, rtol=1e-9)
        assert found.target == expected.target
        assert found.equity == pytest.approx(expected.equity, rel=1e-12)
        fills += 300 + i >= at and bool(found.fills)
    assert fills > 1


def test_a_split_is_of_whole_shares_between_bars():
    frame = make_bars(330)
    trader = begin(policy_for(SETS["rsi"], frame), frame, 300)
    before = state_of(trader)
    for wrong in ((0, 1), (2, -1), (1.5, 1), (True, 1)):
        with pytest.raises(ConfigError, match="parameter of a split must be"):
            trader.split(*wrong)
    assert state_of(trader) == before
    market = PaperMarket("A", CASH, DEAR)
    market.close(10.0, 1)
    market.take(Order("a", "A", 3.0))
    market.split(2.0)
    market.open(5.0, 2)
    assert market.ledger.shares == 6.0
    with pytest.raises(OrderError, match="after a bar has closed"):
        market.split(2.0)


def test_history_comes_first():
    frame = make_bars(330)
    trader = begin(policy_for(SETS["rsi"], frame), frame, 300)
    trader.push(next(recorded(frame.iloc[300:], "A")), confirmed=True)
    with pytest.raises(RunError, match="the history must come before the first decision"):
        trader.warm_up(frame.iloc[301:310])
