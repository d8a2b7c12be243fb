"""The data of a page as its script sees it: packed numbers as lists."""

import base64
import json

import numpy as np


def unpacked(value):
    """Return a copy with every packed list of numbers as a list, None for NaN."""
    if isinstance(value, dict) and set(value) - {"shape"} == {"dtype", "bdata"}:
        array = np.frombuffer(base64.b64decode(value["bdata"]), "<" + value["dtype"])
        if "shape" in value:
            array = array.reshape([int(n) for n in value["shape"].split(",")])
        return np.where(np.isfinite(array), array.astype(object), None).tolist()
    if isinstance(value, dict):
        return {key: unpacked(part) for key, part in value.items()}
    return [unpacked(part) for part in value] if isinstance(value, list) else value


def payload_of(script):
    """Return the data in the text of the page's first script."""
    return unpacked(json.loads(script))
