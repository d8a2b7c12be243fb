"""What an engine keeps between the batches of one search: of Ray, the connection."""

from __future__ import annotations

import pytest

from reinforcestrategycreator_pipeline.experiments.engines.base import kept_open
from reinforcestrategycreator_pipeline.experiments.engines.inline import Inline
from reinforcestrategycreator_pipeline.experiments.engines.ray_engine import Ray, _connected


class FakeRay:
    """Ray as `_connected` uses it; it notes the calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def is_initialized(self) -> bool:
        return self.calls[-1:] == ["init"]

    def init(self, **settings: object) -> None:
        self.calls.append("init")

    def shutdown(self) -> None:
        self.calls.append("shutdown")


def test_the_batches_of_a_context_share_one_connection() -> None:
    ray = FakeRay()
    with kept_open(Ray()):
        assert ray.calls == []  # nothing starts before there is a batch
        for _ in range(3):
            with _connected(ray, None):
                assert ray.calls == ["init"]
    assert ray.calls == ["init", "shutdown"]
    with _connected(ray, None):
        pass
    assert ray.calls == ["init", "shutdown"] * 2


def test_the_connection_ends_with_the_context_when_a_batch_fails() -> None:
    ray = FakeRay()
    with pytest.raises(LookupError), kept_open(Ray()), _connected(ray, None):
        raise LookupError
    assert ray.calls == ["init", "shutdown"]
    with _connected(ray, None):
        pass
    assert ray.calls == ["init", "shutdown"] * 2


def test_an_engine_with_nothing_to_keep_and_none_at_all() -> None:
    for engine in (Inline(), None):
        with kept_open(engine):
            pass
