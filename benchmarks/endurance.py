"""A million training steps: is a step as fast, and the memory as small, as at the beginning?"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from benchmarks.measuring import bar, pin, run, us_per_call
from benchmarks.steps import new_dqn
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.nn import adam

HIDDEN = [64, 64]
YOUNG, MILLION, LONG = 1_000, 1_000_000, 120_000
TRACED = 1_000  # a multiple of the intervals of logging and of the target network
CLOCK = time.process_time  # the processor's time: other programs' does not count


def train(steps: int, *, dead: bool = False, **settings: Any) -> DQN:
    """Return a DQN after so many training steps.

    With `dead`, half of the hidden units die after a few hundred steps, and all rewards are 0: the
    moments, which are not 0 then, decay by beta1 and beta2 every step and by nothing else.
    """
    dqn = new_dqn(HIDDEN, rewards=not dead, **settings)
    for t in range(steps):
        if dead and t == YOUNG // 2:
            weights = dqn.q_network["weights"]
            for i, width in enumerate(HIDDEN):
                weights[f"b{i}"][: width // 2] = -1e3
        dqn.train_step()
    return dqn


def resident() -> int:
    """Return this process's resident set, bytes; 0 where the system does not tell."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if path.is_file() else 0


class Twins(NamedTuple):
    """A DQN after `steps` training steps and a young one: us a step, measured in turn."""

    name: str
    steps: int
    young: float
    old: float
    denormals: int  # among the old one's moments, the most in any of 100 steps

    @property
    def ratio(self) -> float:
        return self.old / self.young


def denormal_moments(dqn: DQN) -> int:
    """Return how many of Adam's moments are denormal now."""
    state, smallest = dqn.q_network["optimizer_state"], np.finfo(dqn.dtype).smallest_normal
    magnitudes = [np.abs(array) for k in "mv" for array in state[k].values()]
    return sum(int(((a > 0) & (a < smallest)).sum()) for a in magnitudes)


def measure(name: str, old: DQN, young: DQN, quick: bool) -> Twins:
    """Measure two DQNs against each other."""
    steps = old.q_network["optimizer_state"]["t"]
    denormals = 0
    for _ in range(adam.FLUSH_INTERVAL):  # right after a flush there are none in any case
        old.train_step()
        denormals = max(denormals, denormal_moments(old))
    rounds, calls = (3, 50) if quick else (15, 500)
    us = us_per_call({"young": young.train_step, "old": old.train_step}, rounds, calls, CLOCK)
    return Twins(name, steps, us["young"], us["old"], denormals)


class Memory(NamedTuple):
    """What training adds to memory."""

    resident_mb: float  # between step `YOUNG` and the end
    allocated: int  # Python's blocks, over the same steps
    traced_bytes: int  # over `TRACED` steps of the steady state
    traced_blocks: int
    peak_bytes: int  # within one step


def growth(dqn: DQN, steps: int) -> tuple[float, int]:
    """Train for so many steps; return what they add: resident MB, and Python's blocks."""
    gc.collect()
    resident_then, blocks_then = resident(), sys.getallocatedblocks()
    for _ in range(steps):
        dqn.train_step()
    gc.collect()
    return (resident() - resident_then) / 1e6, sys.getallocatedblocks() - blocks_then


def traced(dqn: DQN) -> tuple[int, int, int]:
    """Return what `TRACED` steps add to the traced memory, bytes and blocks; and a step's peak.

    Of three such stretches the one that adds least, which a leak would be in, too: a number that
    comes from Python's own stock of free ones is seen as new.
    """
    own = [tracemalloc.Filter(False, path) for path in (tracemalloc.__file__, __file__)]

    def after_training() -> tuple[int, int]:
        for _ in range(TRACED):
            dqn.train_step()
        for _ in range(2):  # the first fills the caches that taking it needs
            gc.collect()
            found = tracemalloc.take_snapshot().filter_traces(own).statistics("filename")
        return sum(s.size for s in found), sum(s.count for s in found)

    tracemalloc.start()
    try:
        points = [after_training() for _ in range(4)]
        dqn.train_step()  # one that does not log: that copies the weights
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        dqn.train_step()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    size, blocks = min((b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(points))
    return size, blocks, peak


def main(quick: bool = False) -> list[str]:
    """Measure, and return the lines for RESULTS.md."""
    pin()
    # That half of the units are dead is known.
    logging.getLogger("reinforcestrategycreator_pipeline").setLevel(logging.ERROR)
    million, long = (3_000, 2_000) if quick else (MILLION, LONG)
    veteran = train(YOUNG)
    grown = growth(veteran, million - YOUNG)
    plain = measure("as it is", veteran, train(YOUNG), quick)
    memory = Memory(*grown, *traced(veteran))
    dead = []
    for name, beta1 in (("dead units, no rewards", 0.9), ("the same, adam_beta1 0.5", 0.5)):
        old, young = (train(n, dead=True, adam_beta1=beta1) for n in (long, YOUNG))
        dead.append(measure(name, old, young, quick))
    # Would it show? The same with the cure taken away.
    with mock.patch.object(adam, "FLUSH_BELOW", 0.0):
        old = train(long, dead=True)
        control = measure("dead units, moments never flushed (control)", old, train(YOUNG), quick)
    if not control.denormals:
        raise RuntimeError("the control has no denormal moments: this shows nothing")
    worst = max(twins.ratio for twins in dead)
    denormals = sum(twins.denormals for twins in (plain, *dead))
    return [
        "## Endurance",
        "",
        f"A DQN after a long training against a twin after {YOUNG:,} steps, measured in turn: us "
        "of processor time a training step, 10-64-64-3, batch 32. With *dead units*, half of the "
        "hidden units die early, and their moments decay by beta1 and beta2 alone; 0.999^n takes "
        "a number from 1 below float32's normal range in 88,000 steps. What denormals cost depends "
        "on the processor; the control shows it on this one.",
        "",
        "| network | steps | young | old | old / young | denormal moments |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {row.name} | {row.steps:,} | {row.young:.0f} | {row.old:.0f} | {row.ratio:.2f}x | "
            f"{row.denormals:,} |"
            for row in (plain, *dead, control)
        ),
        "",
        f"Memory: between step {YOUNG:,} and step {million:,} the resident set grew by "
        f"{memory.resident_mb:.2f} MB and Python's allocated blocks by {memory.allocated}. In the "
        f"steady state {TRACED:,} steps add {memory.traced_bytes} bytes and "
        f"{memory.traced_blocks} blocks to what tracemalloc sees, NumPy's arrays included. Within "
        f"one step {memory.peak_bytes / 1e3:.1f} kB are allocated at most, and freed again.",
        "",
        bar(
            plain.ratio <= 1.2,
            f"step {million:,} takes at most 1.2x step {YOUNG:,}: {plain.ratio:.2f}x",
        ),
        bar(worst <= 1.2, f"the same with dead units after {long:,} steps: {worst:.2f}x"),
        bar(denormals == 0, f"no moment is denormal: {denormals}"),
        bar(
            memory.resident_mb < 1,
            f"the resident set grows by less than 1 MB: {memory.resident_mb:.2f} MB",
        ),
        bar(
            memory.traced_blocks <= 0,
            f"nothing is added in the steady state: {memory.traced_blocks} blocks",
        ),
    ]


if __name__ == "__main__":
    run(main)
