"""Action masks of Gymnasium environments: ``info["action_mask"]``, or the method `action_masks`.

The info comes first. In a vector, ``infos["action_mask"]`` has a row for each environment, and
``infos["_action_mask"]`` says which of them gave one. A transition needs the mask of its next
state, unless that ended the task; the next action needs the mask of the state that it is chosen
in. After the end of an episode these are two states, and where a vector returns their masks
depends on its autoreset mode:

    NEXT_STEP  the step returns the mask of the final observation, the reset that of the first one
    SAME_STEP  ``infos["action_mask"]`` belongs to the first observation of the next episode;
               ``infos["final_info"]["action_mask"]`` to the final one
    DISABLED   the step returns the mask of the final observation, ``reset`` that of the first one
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np

from reinforcestrategycreator_pipeline.action_masks import as_masks
from reinforcestrategycreator_pipeline.arrays import Bools
from reinforcestrategycreator_pipeline.errors import ConfigError

KEY = "action_mask"
METHOD = "action_masks"

ActionMasking: TypeAlias = Literal["auto", "on", "off"]
SETTINGS = ("auto", "on", "off")


class MaskReader:
    """Reads the masks of one environment or of a vector.

    Parameters
    ----------
    env : gymnasium.Env or gymnasium.vector.VectorEnv
        Environment that is stepped.
    n_envs : int or None
        Number of environments E of a vector; None for a single one.
    n_actions : int
        Number of actions A.
    setting : {"auto", "on", "off"}
        Whether masks are used: where there are any, always, or never.
    place : str
        Start of messages, before the number of the step.
    """

    def __init__(
        self,
        env: Any,
        n_envs: int | None,
        n_actions: int,
        setting: ActionMasking,
        place: str = "environment step",
    ) -> None:
        self.env, self.n_envs, self.n_actions, self.setting = env, n_envs, n_actions, setting
        self._place = place
        self._method = _method_of(env, n_envs is not None)
        self.watches = setting != "off"

    def begin(self, infos: Mapping[str, Any], model: Any, mode: str = "") -> bool:
        """Tell whether `env`, which was just reset, gives masks; prepare the replay for them.

        Parameters
        ----------
        infos : mapping
            Second result of the reset.
        model : DQN
            Model that will learn from them.
        mode : str
            Autoreset mode of a vector.

        Raises
        ------
        ConfigError
            If there are no masks but the setting or the model needs them, or if there are masks
            that the model or its replay cannot use.
        """
        found = self.setting != "off" and (KEY in infos or self._method is not None)
        if not found:
            rule = None
            if self.setting == "on":
                rule = 'with action_masking "on"'
            elif model.masked:
                rule = "because the model was trained with them"
            if rule is not None:
                raise ConfigError(
                    f'{self.env} must give action masks, info["{KEY}"] or {METHOD}(), {rule}. '
                    f"Got none at the first reset."
                )
            return False
        if KEY not in infos and mode == "SameStep":
            raise ConfigError(
                f"{self.env} resets in the step that ends an episode (SAME_STEP), and {METHOD}() "
                f"gives no mask of a final observation; use AutoresetMode.NEXT_STEP."
            )
        use = getattr(model.replay_buffer, "use_masks", None)
        try:
            if use is None:
                raise ConfigError("the replay of the model has no use_masks().")
            use()
        except ConfigError as error:
            raise ConfigError(
                f'{self.env} gives action masks (action_masking "off" ignores them), but {error}'
            ) from error
        return True

    def appeared(self, step: int) -> ConfigError:
        """Return the error for a mask of an environment that gave none before."""
        return ConfigError(
            f"{self._place} {step}: {self.env} must give an action mask for every state or for "
            f'none (action_masking "off" ignores them). Got the first one now.'
        )

    def one(self, info: Mapping[str, Any], step: int, needed: bool = True) -> Bools | None:
        """Return the mask of the state of a single environment.

        Parameters
        ----------
        info : mapping
            Last result of the reset or the step.
        step : int
            Environment step, for messages.
        needed : bool
            Whether there must be a valid action; otherwise the mask may also be missing.

        Returns
        -------
        ndarray of bool, shape (A,), or None
            None if it is missing; it may be the array of the environment, which may change.

        Raises
        ------
        ConfigError
            If the mask is needed and missing, or it is invalid.
        """
        found = info.get(KEY)
        if found is None and self._method is not None:
            found = self._method()
        if found is None:
            if needed:
                raise self._missing(step, "")
            return None
        return self._checked(found, step, "", needed)

    def row(self, i: int, info: Mapping[str, Any], env: Any, step: int) -> Bools:
        """Return the mask of environment `i` of a vector, which was just reset by itself."""
        found = info.get(KEY)
        if found is None and self._method is not None:
            found = env.get_wrapper_attr(METHOD)()
        which = f"environment {i} of "
        if found is None:
            raise self._missing(step, which)
        return self._checked(found, step, which)

    def check(self, i: int, info: Mapping[str, Any], step: int) -> None:
        """Check type and shape of the mask of environment `i` before the vector converts it."""
        found = info.get(KEY)
        if found is not None and self.watches:
            self._checked(found, step, f"environment {i} of ", needed=False)

    def many(self, infos: Mapping[str, Any], step: int, needed: Bools) -> Bools:
        """Return the masks of the current states of a vector.

        Parameters
        ----------
        infos : mapping
            Last result of the reset or the step.
        step : int
            Environment step, for messages.
        needed : ndarray of bool, shape (E,)
            Environments whose mask must be there and have a valid action.

        Returns
        -------
        ndarray of bool, shape (E, A)
            A new array; rows that are not needed are true everywhere if nothing else is known.

        Raises
        ------
        ConfigError
            If a needed mask is missing, or one is invalid.
        """
        masks, given = self._from_infos(infos, step, needed)
        missing = needed & ~given
        if missing.any() and self._method is not None:
            masks[missing] = self._rows(self._method(), step, missing, missing)[missing]
        elif missing.any():
            raise self._missing(step, f"environment {int(missing.argmax())} of ")
        return masks

    def finals(self, infos: Mapping[str, Any], step: int, needed: Bools) -> Bools:
        """Return the masks of final observations with SAME_STEP; parameters are those of `many`."""
        of_final = infos.get("final_info")
        masks, given = self._from_infos(
            of_final if isinstance(of_final, Mapping) else {}, step, needed
        )
        missing = needed & ~given
        if missing.any():
            raise ConfigError(
                f"{self._place} {step}: {self.env} resets in the step that ends an episode "
                f'(SAME_STEP) but has no info["final_info"]["{KEY}"] for environment '
                f"{int(missing.argmax())}; use AutoresetMode.NEXT_STEP."
            )
        return masks

    def after_step(
        self,
        infos: Mapping[str, Any],
        step: int,
        mode: str,
        over: Annotated[Bools, "envs"],
        terminated: Annotated[Bools, "envs"],
    ) -> tuple[Annotated[Bools, "envs actions"], Annotated[Bools, "envs actions"]]:
        """Return the masks of the next states of a step, and those of the states to act in next.

        Parameters
        ----------
        infos : mapping
            Last result of the step.
        step : int
            Environment step, for messages.
        mode : str
            Autoreset mode of the vector.
        over, terminated : ndarray of bool, shape (E,)
            Environments whose episode ended, and those where it ended by termination.

        Returns
        -------
        stored, current : ndarray of bool, shape (E, A)
            The two kinds of masks. With DISABLED, `current` is that of the final observation where
            an episode ended; the caller resets.
        """
        if mode != "SameStep":
            masks = self.many(infos, step, ~(over & terminated))
            return masks, masks
        current = self.many(infos, step, np.ones_like(over))
        if not over.any():
            return current, current
        finals = self.finals(infos, step, over & ~terminated)
        return np.where(over[:, None], finals, current), current

    # -- parts ------------------------------------------------------------------------------

    def _from_infos(
        self, infos: Mapping[str, Any], step: int, needed: Bools
    ) -> tuple[Bools, Bools]:
        """Return masks (E, A), and which of them were given; the others are true everywhere."""
        found = infos.get(KEY)
        if found is None:
            return np.ones((len(needed), self.n_actions), dtype=bool), np.zeros_like(needed)
        given = np.asarray(infos.get(f"_{KEY}", np.ones_like(needed)), dtype=bool)
        masks = self._rows(found, step, needed & given, given)
        return masks, given

    def _rows(self, found: Any, step: int, needed: Bools, given: Bools | None = None) -> Bools:
        """Return masks (E, A) from an array, or from a sequence of masks."""
        shape = (len(needed), self.n_actions)
        if isinstance(found, np.ndarray) and found.dtype.kind != "O":
            masks = as_masks(found, shape, lambda: self._subject(step), needed)
        else:
            masks = np.ones(shape, dtype=bool)
            for i, mask in enumerate(found):
                if given is None or given[i]:
                    which = f"environment {i} of "
                    if mask is None:  # env.call() returns it for an action_masks that is no method
                        if needed[i]:
                            raise self._missing(step, which)
                        continue
                    masks[i] = self._checked(mask, step, which, bool(needed[i]))
        # Rows that are not needed may be empty, but an action is chosen there all the same.
        return masks | ~masks.any(axis=1, keepdims=True)

    def _checked(self, found: Any, step: int, which: str, needed: bool = True) -> Bools:
        """Return the mask of one environment; one that is not needed may be empty."""
        least = None if needed else _NOT_NEEDED
        return as_masks(found, (self.n_actions,), lambda: self._subject(step, which), least)

    def _subject(self, step: int, which: str = "") -> str:
        masks = "mask" if self.n_envs is None or which else "masks"
        return f"{self._place} {step}: the action {masks} of {which}{self.env}"

    def _missing(self, step: int, which: str) -> ConfigError:
        return ConfigError(
            f"{self._place} {step}: {which}{self.env} must give an action mask for every state or "
            f"for none. Got none now."
        )


_NOT_NEEDED = np.zeros((), dtype=bool)


def _method_of(env: Any, vector: bool) -> Callable[[], Any] | None:
    """Return the function that gives the current masks of `env`, if there is one."""
    if not vector:
        of_env = env.get_wrapper_attr(METHOD) if env.has_wrapper_attr(METHOD) else None
        return of_env if callable(of_env) else None
    import gymnasium

    base = env.unwrapped
    own = getattr(env, METHOD, None) or getattr(base, METHOD, None)
    if callable(own):
        found: Callable[[], Any] = own
        return found
    many = gymnasium.vector.SyncVectorEnv, gymnasium.vector.AsyncVectorEnv
    if not (isinstance(base, many) and all(base.call("has_wrapper_attr", METHOD))):
        return None
    return lambda: base.call(METHOD)
