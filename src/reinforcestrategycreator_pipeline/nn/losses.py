"""What an error costs: functions of prediction - target, with their derivatives.

A loss of your own is one function of this form, given as it is, or named in the configuration by
its registered name or as ``"module:function"``. Keyword arguments beyond are its parameters.
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


LOSSES: Registry[Loss] = Registry("loss", ())
"""``loss(error, delta) -> (values, derivatives)``.

`error` is prediction - target, of any shape; `derivatives` are with respect to the prediction.
Both are new arrays of `error`'s shape and dtype, element by element; NaN in, NaN out. `delta` is
the hyperparameter `huber_delta`; a loss without a threshold ignores it.
"""


@LOSSES.register("squared")
def squared(error: Errors, delta: float) -> tuple[Errors, Errors]:
    """Return e^2 and 2 e.

    Beyond |e| = 1.8e19 the square overflows to infinity in float32; NumPy warns of it, unless the
    caller has silenced and checks it. `delta` is not used.

    Parameters
    ----------
    error : ndarray
        Prediction - target.
    delta : float
        Ignored.

    Returns
    -------
    values, derivatives : ndarray
        Of the error's shape and dtype.
    """
    return error * error, error + error


@LOSSES.register("huber")
def huber(error: Errors, delta: float) -> tuple[Errors, Errors]:
    """Return Huber's loss, quadratic within `delta` and linear beyond, and its derivative.

        H(e) = e^2 / 2                    where |e| <= delta
        H(e) = delta (|e| - delta / 2)    beyond

    With c = min(max(e, -delta), delta), both are c (e - c / 2), and the derivative is c. So that
    no square of a large error is ever taken: nothing overflows while delta |e| does not.

    Parameters
    ----------
    error : ndarray
        Prediction - target.
    delta : float
        The threshold, > 0.

    Returns
    -------
    values, derivatives : ndarray
        Of the error's shape and dtype.

    References
    ----------
    Huber 1964, "Robust estimation of a location parameter", doi:10.1214/aoms/1177703732; in a
    deep Q-network: Mnih et al. 2015, doi:10.1038/nature14236, who clip the error to [-1, 1].
    """
    clipped: Array = np.minimum(np.maximum(error, -delta), delta)
    return clipped * (error - 0.5 * clipped), clipped


def require_slope(component: Component[Any], delta: float) -> None:
    """Require that a loss gives values of the error's shape, and the slope of its values.

    Raises
    ------
    ConfigError
        If it does not, or raises anything.
    """
    error, step = np.array([-2.3, -0.7, 0.4, 1.9]), 1e-6
    title = f"loss {name_of(LOSSES, component)!r}"
    with blamed(title, ConfigError):
        loss = LOSSES.build(component)
        derivatives = np.asarray(loss(error, delta)[1])
        above, below = (np.asarray(loss(error + d, delta)[0]) for d in (step, -step))
    if derivatives.shape != error.shape or above.shape != error.shape:
        got = f"{above.shape} and {derivatives.shape}"
        raise ConfigError(f"{title} must keep the error's shape. Got {got} instead.")
    slope = (above - below) / (2 * step)
    if not np.allclose(derivatives, slope, rtol=1e-3, atol=1e-3):
        i = int(np.abs(derivatives - slope).argmax())
        raise ConfigError(
            f"{title} must give its own derivative. Got {derivatives[i]:.6g} at an error of "
            f"{error[i]:g}, where its values have the slope {slope[i]:.6g}."
        )
