"""Numbered checkpoints in a folder: written whole or not at all, the newest sound one is used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.checks import require_int
from reinforcestrategycreator_pipeline.errors import CheckpointError
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors, write_tensors

# What a process that was killed while it wrote leaves behind; see `files.atomic_path`.
_LEFTOVER = re.compile(r"\.step-\d+\.safetensors\.[a-z0-9_]{8}")


class CheckpointStore:
    """Keeps the newest checkpoints of one training.

    Parameters
    ----------
    folder : Path
        Where ``step-00001000.safetensors`` and its siblings are.
    keep : int
        How many; two or more, so that a damaged one has a predecessor.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        require_int("CheckpointStore", "keep", keep, 2)
        self.folder = folder
        self.keep = keep

    def _files(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        names = [f for f in self.folder.iterdir() if re.fullmatch(r"step-\d+\.safetensors", f.name)]
        return sorted(names)

    def save(self, step: int, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> Path:
        """Write one checkpoint, then remove all but it and its `keep` - 1 predecessors.

        Those of later steps go too: they are damaged, or of a training that this one replaces.
        """
        path = self.folder / f"step-{step:010d}.safetensors"
        if self.folder.is_dir():
            for other in self.folder.iterdir():
                if _LEFTOVER.fullmatch(other.name):
                    other.unlink()
        write_tensors(path, tensors, header)
        files = self._files()
        newest = files.index(path)
        for other in files[: max(newest + 1 - self.keep, 0)] + files[newest + 1 :]:
            other.unlink()
        return path

    def load_newest(
        self,
    ) -> tuple[tuple[dict[str, Array], dict[str, Any]] | None, list[str]]:
        """Return the newest sound checkpoint, and a sentence for each that had to be skipped.

        Returns
        -------
        state : (tensors, header) or None
            None: there is no checkpoint at all.
        skipped : list of str
            What is wrong with the newer ones.

        Raises
        ------
        CheckpointError
            If there are checkpoints and none is sound.
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
