"""How everything here is measured: on one processor, in rounds that take every side in turn."""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping

Segment = Callable[[], object]
Clock = Callable[[], float]

MET, NOT_MET = "- Met: ", "- **Not met**: "


def pin() -> None:
    """Keep this process, and all threads that it will start, on one processor.

    The last one, as the first does most of the system's work. Without effect where the system
    has no such call.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def interleaved(
    segments: Mapping[str, Segment], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """Return each side's median seconds a segment over rounds in which all run in turn."""
    times: dict[str, list[float]] = {name: [] for name in segments}
    for _ in range(rounds):
        for name, segment in segments.items():
            start = clock()
            segment()
            times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def us_per_call(
    steps: Mapping[str, Segment],
    rounds: int = 20,
    calls: int = 200,
    clock: Clock = time.perf_counter,
) -> dict[str, float]:
    """Return each side's median microseconds a call; one segment of each warms it up before."""
    segments = {name: repeated(step, calls) for name, step in steps.items()}
    interleaved(segments, 1)
    return {name: t / calls * 1e6 for name, t in interleaved(segments, rounds, clock).items()}


def repeated(step: Segment, calls: int) -> Segment:
    """Return a segment that calls `step` so many times."""

    def segment() -> None:
        for _ in range(calls):
            step()

    return segment


def bar(met: bool, text: str) -> str:
    """Return the line that says whether a bar is met."""
    return (MET if met else NOT_MET) + text


def run(main: Callable[[bool], list[str]]) -> None:
    """Run one benchmark from the command line and print its lines."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--quick", action="store_true", help="few rounds: shows that it runs; measures nothing"
    )
    print("\n".join(main(parser.parse_args().quick)), flush=True)
