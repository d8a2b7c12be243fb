"""The tracker `tensorboard`: its events, read by TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.testing.tracker_contract import TrackerContract
from reinforcestrategycreator_pipeline.tracking.tensorboard_tracker import TensorBoard


def scalars(folder: Path) -> dict[str, list[tuple[int, float, float]]]:
    """Return step, value and time of each scalar by name."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(e.step, e.value, e.wall_time) for e in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


class TestTensorBoard(TrackerContract):
    @pytest.fixture
    def tracker(self, tmp_path):
        return TensorBoard(folder=str(tmp_path / "events"))

    @pytest.fixture
    def tracked(self, tracker):
        home = Path(tracker.folder)
        return lambda: sorted(str(p) for p in home.glob("*") if scalars(p))

    def test_it_has_the_history_the_windows_and_the_equity(self, tracker, run_dir) -> None:
        tracker.log(run_dir)
        home = Path(tracker.folder) / "first"
        found = scalars(home)
        history = pd.read_csv(run_dir / "training" / "history.csv")
        losses = history[["step", "loss"]].dropna()
        assert len(losses) == 4
        shown = [(step, value) for step, value, _ in found["training/loss"]]
        assert shown == [
            (step, pytest.approx(loss, rel=1e-6))
            for step, loss in losses.itertuples(index=False, name=None)
        ]
        assert {f"training/{c}" for c in history.columns if c != "step"} <= set(found)
        assert [step for step, *_ in found["windows/strategy_return"]] == [1, 2]
        table = pd.read_csv(run_dir / "evaluation" / "equity.csv", parse_dates=["timestamp"])
        portfolio = table[table["symbol"] == "PORTFOLIO"]
        for name, label in (("strategy", "DQN"), ("buy_and_hold", "buy and hold")):
            rows = portfolio[portfolio["strategy"] == label]
            curve = scalars(home / name)["equity"]
            assert [step for step, *_ in curve] == list(range(len(rows)))
            assert [value for _, value, _ in curve] == pytest.approx(list(rows["equity"]), rel=1e-6)
            assert curve[0][2] == rows["timestamp"].iloc[0].timestamp()

    def test_files_of_others_stay(self, tracker, run_dir) -> None:
        other = Path(tracker.folder) / "first" / "events.out.tfevents.1.other"
        other.parent.mkdir(parents=True)
        other.write_bytes(b"")
        tracker.log(run_dir)
        assert other.is_file()

    def test_a_folder_that_cannot_be_made_is_one_line(self, run_dir, tmp_path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(RunError, match=r"file.*: cannot write events: "):
            TensorBoard(folder=str(tmp_path / "file")).log(run_dir)
