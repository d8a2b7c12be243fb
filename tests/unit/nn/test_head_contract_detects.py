"""Each promise of the head contract fails for a head that breaks it."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.testing.head_contract import HeadContract

CONTRACT = HeadContract()


class Sound:
    """Two outputs, whose mean is the value; the heads below break one thing each."""

    n_outputs = 2

    def values(self, outputs):
        return outputs[..., 0] * 0.5 + outputs[..., 1] * 0.5

    def targets(self, bootstrap, r_t, discount_t):
        return r_t + discount_t * self.values(bootstrap)

    def loss(self, predicted, bootstrap, r_t, discount_t):
        error = self.values(predicted) - self.targets(bootstrap, r_t, discount_t)
        return self.costs(error)

    def costs(self, error):
        return error * error, np.repeat(error[:, None], 2, axis=1), np.abs(error)


class GradientOff(Sound):
    def costs(self, error):
        losses, gradient, priorities = super().costs(error)
        gradient[0, 1] *= 1 + 1e-6
        return losses, gradient, priorities


class Averages(Sound):
    def costs(self, error):
        losses, gradient, priorities = super().costs(error)
        return losses / len(losses), gradient / len(losses), priorities


class HidesNaN(Sound):
    def targets(self, bootstrap, r_t, discount_t):
        future = np.where(discount_t > 0, discount_t * self.values(bootstrap), 0.0)
        return r_t + future.astype(r_t.dtype)


class ClipsNaN(Sound):
    def costs(self, error):
        return super().costs(np.fmax(np.fmin(error, 5), -5))


class SpreadsNaN(Sound):
    def costs(self, error):
        losses, gradient, priorities = super().costs(error)
        return losses, gradient + 0 * error.sum(), priorities


class IgnoresTerminations(Sound):
    def targets(self, bootstrap, r_t, discount_t):
        return r_t + np.maximum(discount_t, np.float32(1e-3)) * self.values(bootstrap)


class IgnoresTheFuture(Sound):
    def targets(self, bootstrap, r_t, discount_t):
        return r_t + 0 * discount_t * self.values(bootstrap)


class ForgetsDtype(Sound):
    def costs(self, error):
        return super().costs(error.astype(np.float64))


class NegativePriorities(Sound):
    def costs(self, error):
        losses, gradient, _ = super().costs(error)
        return losses, gradient, error


class ReusesItsResults(Sound):
    kept = np.empty((6, 2))

    def costs(self, error):
        losses, gradient, priorities = super().costs(error)
        self.kept[...] = gradient
        return losses, self.kept, priorities


class GivesOneArrayTwice(Sound):
    def costs(self, error):
        losses, gradient, _ = super().costs(error)
        return losses, gradient, losses


class WritesIntoItsArguments(Sound):
    def targets(self, bootstrap, r_t, discount_t):
        bootstrap *= discount_t[:, None]
        return r_t + self.values(bootstrap)


class ValuesAreNotWhatIsLearned(Sound):
    def values(self, outputs):
        return outputs[..., 0]

    def loss(self, predicted, bootstrap, r_t, discount_t):
        sound = Sound()
        error = sound.values(predicted) - sound.targets(bootstrap, r_t, discount_t)
        return sound.costs(error)


class ValuesHideNaN(Sound):
    def values(self, outputs):
        return np.nanmean(outputs, axis=-1)


class ValuesDependOnTheBatch(Sound):
    def values(self, outputs):
        return (outputs - outputs.mean()).mean(axis=-1) + outputs.mean()


def test_the_sound_head_passes():
    for name in dir(CONTRACT):
        test = getattr(CONTRACT, name)
        if name.startswith("test_") and not getattr(test, "pytestmark", None):
            test(Sound(), **({"largest": 1e18} if "large" in name else {}))


@pytest.mark.parametrize(
    ("broken", "test", "more"),
    [
        (GradientOff, "gradient_agrees_with_central_differences", ()),
        (Averages, "no_row_depends_on_another", ()),
        (HidesNaN, "nan_is_not_hidden_and_stays_in_its_row", ("bootstrap", "float64")),
        (ClipsNaN, "nan_is_not_hidden_and_stays_in_its_row", ("predicted", "float32")),
        (SpreadsNaN, "nan_is_not_hidden_and_stays_in_its_row", ("r_t", "float64")),
        (IgnoresTerminations, "behind_a_termination_there_is_nothing", ("float64",)),
        (IgnoresTheFuture, "without_a_termination_the_future_counts", ()),
        (ForgetsDtype, "shapes_and_dtypes", ("float32",)),
        (Sound, "large_numbers_do_not_overflow_float32", (1e30,)),
        (NegativePriorities, "priorities_are_not_negative", ()),
        (ReusesItsResults, "arguments_are_left_alone_and_results_are_kept", ()),
        (GivesOneArrayTwice, "arguments_are_left_alone_and_results_are_kept", ()),
        (WritesIntoItsArguments, "arguments_are_left_alone_and_results_are_kept", ()),
        (ValuesAreNotWhatIsLearned, "what_is_learned_is_the_reward", ()),
        (ValuesHideNaN, "values_do_not_hide_nan", ()),
        (
            ValuesDependOnTheBatch,
            "an_actions_value_does_not_depend_on_the_batch_by_a_bit",
            ("float64",),
        ),
    ],
)
def test_a_broken_promise_is_seen(broken, test, more):
    with np.errstate(over="ignore"), pytest.raises(AssertionError):
        getattr(CONTRACT, f"test_{test}")(broken(), *more)


def test_a_loss_in_a_lower_precision_is_seen():
    class Coarse(Sound):
        def costs(self, error):
            rounded = np.round(error * 1e3) / 1e3 if error.dtype == np.float32 else error
            return super().costs(rounded.astype(error.dtype))

    with pytest.raises(AssertionError):
        CONTRACT.test_float32_agrees_with_float64(Coarse())
