"""The contract of vendors. Inherit it, and override the three fixtures.

A vendor that is not asked by HTTP inherits `VendorContract`, and needs no fixture `wire`.

class TestMyVendor(HttpVendorContract):
    @pytest.fixture
    def vendor(self):
        return MyVendor(...)

    @pytest.fixture
    def wire(self):
        return answers_as_documented  # a function from a Call and seconds to an Answer

    @pytest.fixture
    def wanted(self):
        return Request("IBM", Interval.parse("1d"), ...)
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.vendors.base import Vendor
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError, WireError
from reinforcestrategycreator_pipeline.market.vendors.fetching import fetch
from reinforcestrategycreator_pipeline.market.vendors.transport import Time, Transport
from reinforcestrategycreator_pipeline.market.vendors.wire import Answer
from reinforcestrategycreator_pipeline.ohlcv import OHLCV

LATER = pd.Timedelta(30, "D")
BODIES = {
    "nothing": b"",
    "a page": b"<!doctype html><html><body>Please verify</body></html>",
    "other JSON": b'{"unexpected": true}',
    "a list": b"[1, 2, 3]",
    "text": b"Something went wrong",
    "bytes": bytes(range(128, 256)),
}

PIECES = (b"null", b"NaN", b"-1", b"1e400", b"{}", b"[]", b'"', b",", b"\x00", b"9" * 20, b"\r")
MUTATIONS = 40


def transport_over(wire, vendor):
    clock = [0.0]

    def sleep(seconds):
        clock[0] += seconds

    clocks = Time(lambda: clock[0], sleep, lambda: clock[0])
    rng = np.random.default_rng(1)
    return Transport(rng, per_minute=6e9, wire=wire, secrets=vendor.secrets(), clocks=clocks)


def parameters(vendor):
    return {f.name: getattr(vendor, f.name) for f in dataclasses.fields(vendor)}


def mutated(body, rng):
    """Return an answer with some bytes changed, dropped, repeated or put in."""
    body = bytearray(body)
    for _ in range(int(rng.integers(1, 4))):
        i, kind = int(rng.integers(len(body))), int(rng.integers(4))
        if kind == 0:
            body[i] = int(rng.integers(256))
        elif kind == 1:
            del body[i : i + int(rng.integers(1, 30))]
        elif kind == 2:
            body[i:i] = body[i : i + int(rng.integers(1, 60))]
        else:
            body[i : i + 1] = PIECES[int(rng.integers(len(PIECES)))]
        body = body or bytearray(b"0")
    return bytes(body)


class VendorContract:
    @pytest.fixture
    def vendor(self):
        raise NotImplementedError("override the fixture vendor")

    @pytest.fixture
    def wire(self):
        return None

    @pytest.fixture
    def wanted(self):
        raise NotImplementedError("override the fixture wanted")

    def fetched(self, vendor, wire, wanted):
        transport = transport_over(wire, vendor)
        return fetch("it", vendor, wanted, transport, wanted.end + LATER)

    def test_is_a_frozen_dataclass_with_the_members(self, vendor):
        assert isinstance(vendor, Vendor)
        assert vendor.settling_s >= 0
        with pytest.raises(dataclasses.FrozenInstanceError):
            vendor.settling_s = 1.0

    def test_parameters_round_trip_and_hold_no_secret(self, vendor):
        text = json.dumps(parameters(vendor))
        assert from_mapping(type(vendor), json.loads(text), "it") == vendor
        assert not any(secret in text for secret in vendor.secrets())

    def test_unknown_parameter_is_rejected(self, vendor):
        with pytest.raises(ConfigError, match="no parameter 'flavor'"):
            from_mapping(type(vendor), {**parameters(vendor), "flavor": 1}, "it")

    def test_bars_have_the_form(self, vendor, wire, wanted):
        frame = self.fetched(vendor, wire, wanted).frame
        assert tuple(frame.columns[:5]) == OHLCV
        assert (frame.dtypes == np.float64).all()
        assert len(frame) > 1
        assert (np.diff(frame.index.asi8) > 0).all()
        assert str(frame.index.dtype) == "datetime64[ns, UTC]"
        assert (frame[["open", "high", "low", "close"]] > 0).all(axis=None)

    def test_bars_open_in_the_span(self, vendor, wire, wanted):
        closes = self.fetched(vendor, wire, wanted).frame.index
        length = wanted.interval.length
        assert closes[0] >= wanted.start.normalize() if wanted.interval.is_day else wanted.start
        assert closes[-1] <= wanted.end + 2 * length

    def test_the_same_request_brings_the_same_bars(self, vendor, wire, wanted):
        first = self.fetched(vendor, wire, wanted).frame
        again = self.fetched(vendor, wire, wanted).frame
        pd.testing.assert_frame_equal(first, again, check_exact=True)

    def test_a_forming_bar_is_never_data(self, vendor, wire, wanted):
        whole = self.fetched(vendor, wire, wanted).frame
        now = whole.index[-1] + pd.Timedelta(vendor.settling_s, "s") - pd.Timedelta(1, "s")
        transport = transport_over(wire, vendor)
        found = fetch("it", vendor, wanted, transport, now)
        assert found.forming == 1
        pd.testing.assert_frame_equal(found.frame, whole.iloc[:-1], check_exact=True)


class HttpVendorContract(VendorContract):
    """The contract of vendors that are asked by HTTP, with what a server may do wrong."""

    @pytest.fixture
    def wire(self):
        raise NotImplementedError("override the fixture wire")

    @pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
    def test_a_status_is_an_error_with_its_number(self, vendor, wanted, status):
        with pytest.raises(VendorError) as caught:
            self.fetched(vendor, lambda call, timeout: Answer(status, {}, b"no"), wanted)
        assert f"HTTP {status}" in str(caught.value)
        assert caught.value.status == status
        assert f"it: {wanted.symbol}: " in str(caught.value)

    def test_a_fault_that_passes_is_not_seen(self, vendor, wire, wanted):
        faults = [Answer(429, {}, b""), Answer(500, {}, b"oops"), WireError("cut")]

        def faulty(call, timeout):
            if not faults:
                return wire(call, timeout)
            fault = faults.pop()
            if isinstance(fault, WireError):
                raise fault
            return fault

        frame = self.fetched(vendor, faulty, wanted).frame
        whole = self.fetched(vendor, wire, wanted).frame
        pd.testing.assert_frame_equal(frame, whole, check_exact=True)

    def test_no_network_is_an_error_that_says_so(self, vendor, wanted):
        def dead(call, timeout):
            raise WireError("Name or service not known")

        with pytest.raises(VendorError, match="cannot be reached") as caught:
            self.fetched(vendor, dead, wanted)
        assert caught.value.unreachable

    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
    def test_another_answer_is_an_error_never_no_bars(self, vendor, wanted, body):
        with pytest.raises(VendorError) as caught:
            self.fetched(vendor, lambda call, timeout: Answer(200, {}, body), wanted)
        assert "\n" not in str(caught.value)

    def test_half_an_answer_is_an_error(self, vendor, wire, wanted):
        def half(call, timeout):
            answer = wire(call, timeout)
            return dataclasses.replace(answer, body=answer.body[: len(answer.body) // 2])

        with pytest.raises(VendorError):
            self.fetched(vendor, half, wanted)

    def test_a_damaged_answer_is_bars_or_an_error_of_one_line(self, vendor, wire, wanted):
        rng = np.random.default_rng(1)
        errors = []

        def damaged(call, timeout):
            answer = wire(call, timeout)
            return dataclasses.replace(answer, body=mutated(answer.body, rng))

        for _ in range(MUTATIONS):
            try:
                assert len(self.fetched(vendor, damaged, wanted).frame) > 0
            except VendorError as error:
                errors.append(str(error))
        assert errors
        assert not any("\n" in text for text in errors)

    def test_no_secret_is_in_a_message(self, vendor, wanted):
        told = " ".join(vendor.secrets()).encode()
        with pytest.raises(VendorError) as caught:
            self.fetched(vendor, lambda call, timeout: Answer(403, {}, told), wanted)
        assert not any(secret in str(caught.value) for secret in vendor.secrets())
