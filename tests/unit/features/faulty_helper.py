"""A module that a user's feature imports when it is called."""

import numpy as np


def gap(bars):
    return np.log(bars["open"] / bars["close"])
