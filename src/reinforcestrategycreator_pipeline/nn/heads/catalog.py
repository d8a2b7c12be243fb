"""All shipped heads, and `build_head`."""

from __future__ import annotations

from typing import Any

from reinforcestrategycreator_pipeline.checks import is_int, plain, require
from reinforcestrategycreator_pipeline.nn.components import name_of
from reinforcestrategycreator_pipeline.nn.heads import (  # noqa: F401  importing registers them
    c51,
    expected,
    qr,
)
from reinforcestrategycreator_pipeline.nn.heads.base import HEADS, Head, MakeHead

__all__ = ["HEADS", "Head", "MakeHead", "build_head"]


def build_head(hyperparameters: Any) -> Head:
    """Build the head that the hyperparameters name.

    Parameters
    ----------
    hyperparameters : object
        Attribute ``head``: "expected", "c51", "qr", or another `Component`; and the attributes that
        the head reads.

    Raises
    ------
    ConfigError
        If there is no such head, or a hyperparameter is invalid for it.
    """
    head: Head = HEADS.build(hyperparameters.head)(hyperparameters)
    count = plain(getattr(head, "n_outputs", None))
    owner = f"head {name_of(HEADS, hyperparameters.head)!r}"
    require(is_int(count) and count >= 1, owner, "n_outputs", "an integer >= 1", count)
    return head
