"""What a head is, and the register of them.

A head says how many outputs of the network belong to one action, which action value they stand
for, and what their distance from a target costs. A head of your own is one class with these two
methods, given as it is, or named in the configuration by its registered name or as
``"module:Class"``; keyword arguments of its constructor are its parameters. The promises that it
must keep are tests to inherit, `reinforcestrategycreator_pipeline.testing.head_contract`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Protocol, TypeAlias

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.registry import Registry

# By transition: the outputs for one action, and one number each.
Outputs: TypeAlias = Annotated[Array, "rows {self.n_outputs}"]
Rows: TypeAlias = Annotated[Array, "rows"]


class Head(Protocol):
    """The meaning of a network's outputs.

    Parameters
    ----------
    hyperparameters : object
        Whatever has the attributes that the head reads.

    Attributes
    ----------
    n_outputs : int
        Outputs of the network for each action.
    """

    n_outputs: int

    def __init__(self, hyperparameters: Any) -> None: ...

    def values(
        self, outputs: Annotated[Array, "*rows {self.n_outputs}"]
    ) -> Annotated[Array, "*rows"]:
        """Return the expected return of each action.

        Parameters
        ----------
        outputs : ndarray, shape (..., n_outputs)
            Of the network.

        Returns
        -------
        ndarray, shape (...)
            Of the same dtype; perhaps a view. NaN in, NaN out. The bits of a value depend on its
            own outputs alone, so that an action is the same one in a batch and by itself.
        """
        ...

    def loss(
        self, predicted: Outputs, bootstrap: Outputs, r_t: Rows, discount_t: Rows
    ) -> tuple[Rows, Outputs, Rows]:
        """Return what each transition costs, and the gradient.

        Nothing is averaged over the rows and no importance weight applied: the caller does.

        Parameters
        ----------
        predicted : ndarray, shape (M, n_outputs)
            The online network's outputs for the actions taken.
        bootstrap : ndarray, shape (M, n_outputs)
            The target network's outputs for the next actions chosen. No gradient flows through it.
        r_t : ndarray, shape (M,)
            Reward, summed and discounted over the steps that the transition spans.
        discount_t : ndarray, shape (M,)
            gamma^steps, and 0 where the episode terminated: then `bootstrap`, if finite, has no
            influence on any bit.

        Returns
        -------
        losses : ndarray, shape (M,)
        d_predicted : ndarray, shape (M, n_outputs)
            d losses[i] / d predicted[i].
        priorities : ndarray, shape (M,)
            >= 0: how much there is to learn from the transition.

        Notes
        -----
        All arrays have one dtype, and so have the results. A NaN in any input of row i makes
        losses[i] NaN, and touches no other row. An overflow or an infinity makes NumPy warn, as
        everywhere: a caller that checks the losses itself silences it.
        """
        ...


MakeHead: TypeAlias = Callable[[Any], Head]
"""A head's class, or a function that makes one of the hyperparameters."""

HEADS: Registry[type[Head]] = Registry("head", ("values", "loss"))
