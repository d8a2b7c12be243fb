"""The one seam to vendors: deadlines, rate limits, retries with backoff and jitter, plain errors.

Every request to a vendor, by plain HTTP or by the vendor's own client, goes through
`Transport.get`. What sends it is a `Wire`; tests put another one there.
"""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

import numpy as np

from reinforcestrategycreator_pipeline.checks import Ge, Gt, Strict
from reinforcestrategycreator_pipeline.errors import shorten
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError, WireError
from reinforcestrategycreator_pipeline.market.vendors.wire import Answer, Call, Wire, send

TOO_MANY = 429
RETRIED = (408, TOO_MANY, 500, 502, 503, 504)
"""Statuses after which the same request may succeed."""
_SHOWN = 160  # characters of an answer in a message


@dataclass(frozen=True)
class RetryPolicy(Strict):
    """Attempts, waits and times of one request.

    Parameters
    ----------
    deadline_s : float
        Seconds for one request with all its attempts and waits, > 0.
    attempt_s : float
        Seconds for one attempt, > 0.
    attempts : int
        Maximum number of attempts.
    first_wait_s : float
        Wait after the first failure, in seconds; it doubles each time. Of it a random half to all
        is waited, so clients that failed together do not come back together.
    longest_wait_s : float
        Maximum of that wait, in seconds.
    """

    deadline_s: Annotated[float, Gt(0)] = 120.0
    attempt_s: Annotated[float, Gt(0)] = 30.0
    attempts: Annotated[int, Ge(1)] = 5
    first_wait_s: Annotated[float, Gt(0)] = 1.0
    longest_wait_s: Annotated[float, Gt(0)] = 60.0

    def wait(self, failures: int, rng: np.random.Generator) -> float:
        """Return the seconds to wait after that many failures, >= 1."""
        full = min(self.longest_wait_s, self.first_wait_s * 2.0 ** (failures - 1))
        return full * float(rng.uniform(0.5, 1.0))


@dataclass(frozen=True)
class Time:
    """The clocks of a transport, which tests replace.

    Attributes
    ----------
    monotonic : callable
        Seconds that only grow.
    sleep : callable
        Waits for some seconds.
    now : callable
        Seconds since 1970, UTC.
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time


class Transport:
    """Sends requests to one vendor.

    Parameters
    ----------
    rng : Generator
        Source of the jitter.
    per_minute : float
        Requests a minute, > 0: they are spaced evenly, so a burst never meets the limit.
    policy : RetryPolicy
        Attempts, waits and deadlines.
    wire : callable
        Sends one request.
    secrets : sequence of str
        Texts that never appear in a message.
    clocks : Time
        Clock and sleep.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        *,
        per_minute: float = 60.0,
        policy: RetryPolicy | None = None,
        wire: Wire = send,
        secrets: Sequence[str] = (),
        clocks: Time | None = None,
    ) -> None:
        self._rng, self._wire = rng, wire
        self._policy = policy or RetryPolicy()
        self._secrets = tuple(secret for secret in secrets if secret)
        self._clocks = clocks or Time()
        self._spacing, self._per_minute = 60.0 / per_minute, per_minute
        self._next = -math.inf

    def get(
        self,
        url: str,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        passed: Container[int] = (),
    ) -> Answer:
        """Return the answer to a GET request, whose status is 200 or among the `passed`.

        Parameters
        ----------
        url : str
            Address, with a query or without.
        parameters : mapping of str to str, optional
            Query, appended to the address.
        headers : mapping of str to str, optional
            Header fields of the request.
        passed : container of int
            Other statuses that are answers to the caller.

        Raises
        ------
        VendorError
            If no attempt brings such an answer before the deadline. The message has no secrets:
            neither the query nor the headers.
        """
        if parameters:
            url = f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}"
        call, clocks, policy = Call(url, headers or {}), self._clocks, self._policy
        begun = clocks.monotonic()
        end = begun + policy.deadline_s
        for attempt in range(1, policy.attempts + 1):
            self._take_turn(call, end)
            left = end - clocks.monotonic()
            asked = 0.0
            answer = None
            try:
                answer = self._wire(call, min(policy.attempt_s, left))
            except WireError as error:
                reason = str(error)
            else:
                if answer.status == 200 or answer.status in passed:
                    return answer
                reason = f"HTTP {answer.status}{self._said(answer)}"
                if answer.status not in RETRIED:
                    raise VendorError(f"{reason} from {call.place}.", status=answer.status)
                asked = _retry_after(answer.headers.get("retry-after"), clocks.now())
            wait = max(asked, policy.wait(attempt, self._rng))
            past = clocks.monotonic() + wait > end
            if attempt == policy.attempts or past:
                took = clocks.monotonic() - begun
                tried = f"{attempt} attempt{'s' if attempt > 1 else ''} in {took:.0f} s"
                raise self._given_up(call, answer, reason, tried, asked if past else 0.0)
            clocks.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _take_turn(self, call: Call, end: float) -> None:
        """Wait until the rate limit allows a request."""
        now = self._clocks.monotonic()
        if self._next > end:
            raise VendorError(
                f"the deadline is over before {self._per_minute:g} requests a minute allow another "
                f"to {call.place}. Raise deadline_s."
            )
        if self._next > now:
            self._clocks.sleep(self._next - now)
            now = self._clocks.monotonic()
        self._next = now + self._spacing

    def _given_up(
        self, call: Call, answer: Answer | None, reason: str, tried: str, asked: float
    ) -> VendorError:
        if answer is None:
            text = f"{call.place} cannot be reached ({reason}; {tried})."
            return VendorError(text, unreachable=True)
        advice = ""
        if answer.status == TOO_MANY:
            wait = f" for {asked:.0f} s, as the vendor asks," if asked else ""
            advice = f" These are too many requests: wait{wait} or lower per_minute, now "
            advice += f"{self._per_minute:g}."
        return VendorError(
            f"{reason} from {call.place} ({tried}).{advice}",
            status=answer.status,
            unreachable=True,
        )

    def _said(self, answer: Answer) -> str:
        """Return the beginning of an answer's text, without secrets, to follow its status."""
        text = " ".join(answer.body[:2000].decode("utf-8", "replace").split())
        if not text or "<html" in text.lower() or not text.isprintable():
            return ""
        return f" ({shorten(self.without_secrets(text), _SHOWN)})"

    def without_secrets(self, text: str) -> str:
        """Return a text with asterisks in place of the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _retry_after(value: str | None, now: float) -> float:
    """Return the seconds that the field ``Retry-After`` asks for: a number, or an HTTP date."""
    if value is None:
        return 0.0
    if value.strip().isdigit():
        return float(value)
    try:
        stamp = email.utils.parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError):
        return 0.0
    return max(0.0, stamp - now)
