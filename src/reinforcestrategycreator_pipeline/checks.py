"""Checks of configuration values, with one wording for all."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from reinforcestrategycreator_pipeline.errors import ConfigError, nearest, shorten

C = TypeVar("C")

LARGEST_INT = 2**63 - 1


def require(condition: bool, owner: str, name: str, rule: str, value: object) -> None:
    """Raise `ConfigError` unless `condition` holds.

    The message reads: The {name} parameter of {owner} must be {rule}. Got {value!r} instead.
    """
    if not condition:
        got = shorten(repr(value))
        raise ConfigError(f"The {name} parameter of {owner} must be {rule}. Got {got} instead.")


def is_int(value: object) -> bool:
    """Tell whether `value` is a true integer; a bool is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Tell whether `value` is a finite real number; a bool is not."""
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and value - value == 0  # False for NaN and the infinities
    )


def require_int(owner: str, name: str, value: object, low: int, high: int | None = None) -> None:
    """Require an integer in [low, high]."""
    rule = f"an integer >= {low}" if high is None else f"an integer from {low} to {high}"
    if high is None and is_int(value) and value > LARGEST_INT:  # type: ignore[operator]
        high, rule = LARGEST_INT, f"{rule} and < 2**63"
    ok = is_int(value) and value >= low and (high is None or value <= high)  # type: ignore[operator]
    require(ok, owner, name, rule, value)


def require_number(
    owner: str,
    name: str,
    value: object,
    *,
    above: float | None = None,
    low: float | None = None,
    below: float | None = None,
    high: float | None = None,
) -> None:
    """Require a finite number within the given open (`above`, `below`) or closed bounds."""
    rules = [
        f"{sign} {bound}"
        for sign, bound in ((">", above), (">=", low), ("<", below), ("<=", high))
        if bound is not None
    ]
    ok = is_number(value) and not (
        (above is not None and not value > above)  # type: ignore[operator]
        or (low is not None and not value >= low)  # type: ignore[operator]
        or (below is not None and not value < below)  # type: ignore[operator]
        or (high is not None and not value <= high)  # type: ignore[operator]
    )
    require(ok, owner, name, " and ".join(["a finite number", *rules]), value)


def require_bool(owner: str, name: str, value: object) -> None:
    """Require true or false."""
    require(isinstance(value, bool), owner, name, "true or false", value)


def require_choice(owner: str, name: str, value: object, choices: Iterable[str]) -> None:
    """Require one of some names; the message offers the nearest."""
    valid = list(choices)
    if value not in valid:
        hint = nearest(str(value), valid)
        raise ConfigError(
            f"The {name} parameter of {owner} must be one of {', '.join(valid)}. "
            f"Got {shorten(repr(value))} instead.{hint if 'Did you mean' in hint else ''}"
        )


def from_mapping(cls: type[C], mapping: Mapping[str, Any], owner: str) -> C:
    """Build the flat config dataclass `cls`; an unknown key names the nearest valid one.

    Lists become tuples. Types and ranges are the business of the class's own checks.

    Raises
    ------
    ConfigError
        For an unknown or a missing key, or what the class's checks refuse.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(
            f"{owner} must be a mapping of names to values. Got {shorten(repr(mapping))} instead."
        )
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in mapping:
        if key not in fields:
            raise ConfigError(f"{owner} has no parameter {key!r}.{nearest(str(key), fields)}")
    for name, f in fields.items():
        missing = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if missing and name not in mapping:
            raise ConfigError(f"{owner} needs the parameter {name!r}.")
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in mapping.items()})
