"""The interface of heads, and their registry.

A head defines how many outputs of the network belong to one action, which action value they
represent, and the loss of their distance from a target. A custom head is one class with the two
methods below, passed as an object, or given in the configuration by its registered name or as
``"module:Class"``; keyword arguments of its constructor are its parameters. Inherit the tests in
`reinforcestrategycreator_pipeline.testing.head_contract` to check that it satisfies the contract.
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
        Any object with the attributes that the head reads.

    Attributes
    ----------
    n_outputs : int
        Number of network outputs per action.
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
            Outputs of the network.

        Returns
        -------
        ndarray, shape (...)
            Action values of the same dtype, possibly a view. NaN in, NaN out. Each value depends
            only on its own outputs, bit for bit, so a state gives the same action in any batch.
        """
        ...

    def loss(
        self, predicted: Outputs, bootstrap: Outputs, r_t: Rows, discount_t: Rows
    ) -> tuple[Rows, Outputs, Rows]:
        """Return the loss of each transition, its gradient, and its priority.

        The caller averages over the rows and applies importance weights.

        Parameters
        ----------
        predicted : ndarray, shape (M, n_outputs)
            Outputs of the online network for the actions taken.
        bootstrap : ndarray, shape (M, n_outputs)
            Outputs of the target network for the chosen next actions. No gradient flows through it.
        r_t : ndarray, shape (M,)
            Reward, summed and discounted over the steps that the transition spans.
        discount_t : ndarray, shape (M,)
            gamma^steps, and 0 where the episode terminated; there, a finite `bootstrap` must not
            affect a single bit of the result.

        Returns
        -------
        losses : ndarray, shape (M,)
            Loss of each row.
        d_predicted : ndarray, shape (M, n_outputs)
            d losses[i] / d predicted[i].
        priorities : ndarray, shape (M,)
            How much there is to learn from each transition, >= 0.

        Notes
        -----
        All arrays, inputs and results, have the same dtype. A NaN in any input of row i makes
        losses[i] NaN and affects no other row. NumPy warns of overflow and infinities as usual; a
        caller that checks the losses itself suppresses these warnings.
        """
        ...


MakeHead: TypeAlias = Callable[[Any], Head]
"""A head's class, or a function that makes one of the hyperparameters."""

HEADS: Registry[type[Head]] = Registry("head", ("values", "loss"))
