"""Loss functions of the error, prediction - target, with their derivatives.

A custom loss is one function of the form below, passed as an object, or given in the configuration
by its registered name or as ``"module:function"``. Further keyword arguments are its parameters.
"""

from __future__ import annotations

from typing import Annotated, Any, Protocol, TypeAlias

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.errors import ConfigError, blamed
from reinforcestrategycreator_pipeline.nn.components import Component, name_of
from reinforcestrategycreator_pipeline.registry import Registry

Errors: TypeAlias = Annotated[Array, "*shape"]


class Loss(Protocol):
    """A function of prediction - target; see `LOSSES`."""

    def __call__(self, error: Errors, delta: float, /) -> tuple[Errors, Errors]:
        """Return the loss of each error and its derivative."""
        ...


LOSSES: Registry[Loss] = Registry("loss", (), "from reinforcestrategycreator_pipeline import loss")
"""Functions ``loss(error, delta) -> (values, derivatives)``.

`error` is prediction - target, of any shape; `derivatives` are with respect to the prediction.
Both results are new arrays of `error`'s shape and dtype, computed elementwise; NaN in, NaN out.
`delta` is the hyperparameter `huber_delta`; a loss without a threshold ignores it.
"""
loss = LOSSES.declare
"""Decorator that lets a configuration name a function as ``"module:function"``."""


@LOSSES.register("squared")
def squared(error: Errors, delta: float) -> tuple[Errors, Errors]:
    """Return the squared error e^2 and its derivative 2 e.

    For |e| above 1.8e19 the square overflows to infinity in float32, with a NumPy warning unless
    the caller suppresses it.

    Parameters
    ----------
    error : ndarray
        Prediction - target.
    delta : float
        Not used by this loss.

    Returns
    -------
    values, derivatives : ndarray
        Arrays of the error's shape and dtype.
    """
    return error * error, error + error


@LOSSES.register("huber")
def huber(error: Errors, delta: float) -> tuple[Errors, Errors]:
    """Return the Huber loss, quadratic within `delta` and linear beyond, and its derivative.

        H(e) = e^2 / 2                    where |e| <= delta
        H(e) = delta (|e| - delta / 2)    beyond

    With c = min(max(e, -delta), delta), both cases are c (e - c / 2), and the derivative is c. A
    large error is never squared, so nothing overflows unless delta |e| does.

    Parameters
    ----------
    error : ndarray
        Prediction - target.
    delta : float
        Threshold between the quadratic and the linear part, > 0.

    Returns
    -------
    values, derivatives : ndarray
        Arrays of the error's shape and dtype.

    References
    ----------
    Huber 1964, "Robust estimation of a location parameter", doi:10.1214/aoms/1177703732; in a
    deep Q-network: Mnih et al. 2015, doi:10.1038/nature14236, who clip the error to [-1, 1].
    """
    clipped: Array = np.minimum(np.maximum(error, -delta), delta)
    return clipped * (error - 0.5 * clipped), clipped


def require_slope(component: Component[Any], delta: float) -> None:
    """Check that a loss returns arrays of the error's shape and its correct derivative.

    Raises
    ------
    ConfigError
        If it does not, or raises an exception.
    """
    error, step = np.array([-2.3, -0.7, 0.4, 1.9]), 1e-6
    title = f"loss {name_of(LOSSES, component)!r}"
    with blamed(title, ConfigError):
        loss = LOSSES.build(component)
        derivatives = np.asarray(loss(error, delta)[1])
        above, below = (np.asarray(loss(error + d, delta)[0]) for d in (step, -step))
    if derivatives.shape != error.shape or above.shape != error.shape:
        got = f"{above.shape} and {derivatives.shape}"
        raise ConfigError(
            f"{title} must return arrays of the error's shape {error.shape}. Got {got} instead."
        )
    slope = (above - below) / (2 * step)
    if not np.allclose(derivatives, slope, rtol=1e-3, atol=1e-3):
        i = int(np.abs(derivatives - slope).argmax())
        raise ConfigError(
            f"{title} must return its own derivative. Got {derivatives[i]:.6g} at an error of "
            f"{error[i]:g}, where the slope of its values is {slope[i]:.6g}."
        )
