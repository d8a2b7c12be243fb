"""The seam: retries, waits, deadlines and rate limits on a clock that only sleep moves."""

from __future__ import annotations

import email.utils

import numpy as np
import pytest
from vendor_server import FakeTime

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError, WireError
from reinforcestrategycreator_pipeline.market.vendors.transport import RetryPolicy, Transport
from reinforcestrategycreator_pipeline.market.vendors.wire import Answer

URL = "https://v.com/bars"


class Line:
    """A wire that gives these answers, each after some seconds."""

    def __init__(self, clock, *answers, takes=0.0):
        self.clock, self.answers, self.takes = clock, list(answers), takes
        self.calls, self.timeouts, self.times = [], [], []

    def __call__(self, call, timeout):
        self.calls.append(call)
        self.timeouts.append(timeout)
        self.times.append(self.clock.seconds)
        self.clock.seconds += min(self.takes, timeout)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def ok(body=b"bars"):
    return Answer(200, {}, body)


def transport(line, **settings):
    given = {"per_minute": 6e9, **settings}
    return Transport(np.random.default_rng(1), wire=line, clocks=line.clock.clocks(), **given)


@pytest.mark.parametrize(
    "fault", [Answer(429, {}, b""), Answer(500, {}, b""), Answer(503, {}, b""), WireError("cut")]
)
def test_what_may_pass_is_tried_again(fault):
    line = Line(FakeTime(), fault, fault, ok())
    assert transport(line).get(URL).body == b"bars"
    assert len(line.calls) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302, 204])
def test_what_stays_is_not(status):
    line = Line(FakeTime(), Answer(status, {}, b'{"detail": "Not found."}'))
    with pytest.raises(VendorError) as caught:
        transport(line).get(URL)
    assert str(caught.value) == (
        f'HTTP {status} ({{"detail": "Not found."}}) from https://v.com/bars.'
    )
    assert (caught.value.status, caught.value.unreachable) == (status, False)
    assert len(line.calls) == 1


def test_waits_double_with_jitter_up_to_a_limit():
    policy = RetryPolicy(attempts=7, first_wait_s=1.0, longest_wait_s=8.0, deadline_s=1000.0)
    line = Line(FakeTime(), WireError("timed out"))
    with pytest.raises(VendorError, match=r"cannot be reached \(timed out; 7 attempts in"):
        transport(line, policy=policy).get(URL)
    full = np.array([1.0, 2.0, 4.0, 8.0, 8.0, 8.0])
    slept = np.array(line.clock.slept)
    assert (slept >= full / 2).all()
    assert (slept <= full).all()
    assert len(set(slept / full)) == 6  # two clients do not wait alike


def test_retry_after_is_obeyed_in_seconds_and_as_a_date():
    date = email.utils.formatdate(1_000_050, usegmt=True)
    clock = FakeTime()
    line = Line(
        clock,
        Answer(429, {"retry-after": "20"}, b""),
        Answer(503, {"retry-after": date}, b""),
        ok(),
    )
    made = Transport(
        np.random.default_rng(1), per_minute=6e9, wire=line, clocks=clock.clocks(1_000_000)
    )
    made.get(URL)
    assert clock.slept == [20.0, 30.0]  # at 20 s after 1,000,000 the date is 30 s away


def test_a_wait_beyond_the_deadline_is_not_begun():
    line = Line(FakeTime(), Answer(429, {"retry-after": "3600"}, b"slow down"))
    with pytest.raises(VendorError) as caught:
        transport(line, policy=RetryPolicy(deadline_s=60.0)).get(URL)
    assert str(caught.value) == (
        "HTTP 429 (slow down) from https://v.com/bars (1 attempt in 0 s). These are too many "
        "requests: wait for 3600 s, as the vendor asks, or lower per_minute, now 6e+09."
    )
    assert line.clock.slept == []


def test_attempts_get_what_is_left_of_the_deadline():
    policy = RetryPolicy(deadline_s=50.0, attempt_s=20.0, first_wait_s=1.0)
    line = Line(FakeTime(), WireError("timed out"), takes=20.0)
    with pytest.raises(VendorError):
        transport(line, policy=policy).get(URL)
    assert line.timeouts[:2] == [20.0, 20.0]
    assert 0 < line.timeouts[2] < 10.0
    assert line.clock.seconds <= 50.0


def test_requests_are_spaced_by_the_rate_limit():
    line = Line(FakeTime(), ok(), takes=1.0)
    made = transport(line, per_minute=12.0)
    for _ in range(4):
        made.get(URL)
    assert line.times == [0.0, 5.0, 10.0, 15.0]


def test_a_rate_limit_beyond_the_deadline_says_so():
    made = transport(Line(FakeTime(), ok()), per_minute=1.0, policy=RetryPolicy(deadline_s=30.0))
    made.get(URL)
    with pytest.raises(VendorError, match=r"1 requests a minute"):
        made.get(URL)


def test_no_message_shows_a_secret():
    fault = Answer(403, {}, b"the key abc123 is not known")
    made = transport(Line(FakeTime(), fault), secrets=["abc123", ""])
    with pytest.raises(VendorError) as caught:
        made.get(URL, {"token": "abc123"}, {"Authorization": "Token abc123"})
    assert str(caught.value) == "HTTP 403 (the key *** is not known) from https://v.com/bars."


def test_the_query_is_encoded():
    line = Line(FakeTime(), ok())
    transport(line).get(f"{URL}?a=1", {"s": "^spx", "t": "a b"})
    assert line.calls[0].url == f"{URL}?a=1&s=%5Espx&t=a+b"


def test_a_page_for_browsers_is_not_quoted():
    line = Line(FakeTime(), Answer(404, {}, b"<!doctype html><html><body>Nothing</body></html>"))
    with pytest.raises(VendorError, match=r"^HTTP 404 from https://v.com/bars\.$"):
        transport(line).get(URL)


def test_a_policy_has_bounds():
    with pytest.raises(ConfigError, match=r"attempts"):
        RetryPolicy(attempts=0)
