"""Numbered checkpoints in a folder: written atomically; the newest valid one is used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.checks import require_int
from reinforcestrategycreator_pipeline.errors import CheckpointError
from reinforcestrategycreator_pipeline.files import is_temporary
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors, write_tensors

_CHECKPOINT = re.compile(r"step-\d+\.safetensors")


class CheckpointStore:
    """The newest checkpoints of one training.

    Parameters
    ----------
    folder : Path
        Folder of the files ``step-0000001000.safetensors``, ...
    keep : int
        Number of checkpoints to keep, >= 2, so a damaged one still has a predecessor.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        require_int("CheckpointStore", "keep", keep, 2)
        self.folder = folder
        self.keep = keep

    def _files(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        names = [f for f in self.folder.iterdir() if _CHECKPOINT.fullmatch(f.name)]
        return sorted(names)

    def save(self, step: int, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> Path:
        """Write one checkpoint, then remove all but it and its `keep` - 1 predecessors.

        Checkpoints of later steps are removed too: they are damaged, or belong to a training that
        this one replaces.
        """
        path = self.folder / f"step-{step:010d}.safetensors"
        if self.folder.is_dir():
            for other in self.folder.iterdir():
                if is_temporary(other.name) and _CHECKPOINT.match(other.name, 1):
                    other.unlink()  # left by a process that was killed while writing
        write_tensors(path, tensors, header)
        files = self._files()
        newest = files.index(path)
        for other in files[: max(newest + 1 - self.keep, 0)] + files[newest + 1 :]:
            other.unlink()
        return path

    def load_newest(
        self,
    ) -> tuple[tuple[dict[str, Array], dict[str, Any]] | None, list[str]]:
        """Return the newest valid checkpoint, and a sentence for each damaged one skipped.

        Returns
        -------
        state : (tensors, header) or None
            None if there are no checkpoints.
        skipped : list of str
            The errors of the newer, damaged checkpoints.

        Raises
        ------
        CheckpointError
            If there are checkpoints and none is valid.
        """
        skipped: list[str] = []
        for path in reversed(self._files()):
            try:
                return read_tensors(path), skipped
            except CheckpointError as error:
                skipped.append(str(error))
        if skipped:
            raise CheckpointError(f"no checkpoint can be read: {'; '.join(skipped)}")
        return None, skipped
