"""The network below the seam: complete answers, or an error that says what happened."""

from __future__ import annotations

import pytest
from vendor_server import Reply, Vendor, serving

from reinforcestrategycreator_pipeline.market.vendors.faults import WireError
from reinforcestrategycreator_pipeline.market.vendors.wire import Call, send


@pytest.fixture
def vendor():
    with serving(Vendor(lambda asked: Reply(b"abc", headers={"X-Name": "v"}))) as vendor:
        yield vendor


def url(vendor, path="/a?key=secret"):
    return f"http://127.0.0.1:{vendor.port}{path}"


def test_an_answer_comes_whole(vendor):
    answer = send(Call(url(vendor), {"Authorization": "Token t"}), 5.0)
    assert (answer.status, answer.body, answer.headers["x-name"]) == (200, b"abc", "v")
    assert vendor.asked[0].query == {"key": "secret"}
    assert vendor.asked[0].headers["authorization"] == "Token t"


def test_a_status_is_an_answer(vendor):
    vendor.faults = [Reply(b"no", 404)]
    answer = send(Call(url(vendor)), 5.0)
    assert (answer.status, answer.body) == (404, b"no")


def test_a_cut_answer_is_an_error(vendor):
    vendor.faults = [Reply(b"0123456789", cut=4)]
    with pytest.raises(WireError, match=r"cut"):
        send(Call(url(vendor)), 5.0)


def test_a_slow_answer_is_an_error_though_bytes_come(vendor):
    vendor.faults = [Reply(b"0" * 1000, slow=0.02)]
    with pytest.raises(WireError, match=r"not complete within 0.1 s"):
        send(Call(url(vendor)), 0.1)


def test_no_server_is_an_error():
    with pytest.raises(WireError, match=r"refused"):
        send(Call("http://127.0.0.1:9/"), 5.0)


def test_another_host_never_sees_the_headers(vendor):
    with serving(Vendor(lambda asked: Reply(b"other"))) as other:
        vendor.faults = [Reply(b"", 302, {"Location": url(other)})]
        answer = send(Call(url(vendor), {"Authorization": "Token t"}), 5.0)
        assert answer.status == 302
        assert other.asked == []


def test_a_redirection_within_the_host_is_followed(vendor):
    vendor.faults = [Reply(b"", 302, {"Location": "/b"})]
    assert send(Call(url(vendor)), 5.0).body == b"abc"
    assert vendor.asked[-1].path == "/b"


def test_a_call_shows_neither_query_nor_headers():
    call = Call("https://v.com/a?key=secret", {"Authorization": "Token t"})
    assert call.place == "https://v.com/a"
    assert "Token" not in repr(call)
