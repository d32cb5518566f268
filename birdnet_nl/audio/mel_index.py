"""Index of the sound files whose mels are cached, so that thousands of files are neither read nor hashed again.

One JSON file for each folder of sound files, beside the mels. A sound file counts as known while its size, its time of
modification and its time of change are the same (the last also differs where the time of modification was set back),
and its mel while its size and time of modification are. Anything else is hashed and checked again.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from birdnet_nl.util.files import write_text_atomic

FOLDER = "index"
SETTLED_S = 2.0  # a file may change again within the resolution of its times, so a newer one is not remembered


class KnownMel(NamedTuple):
    """Hash of a sound file's content, number of frames of its mel, and its warning (see `CachedMel`)."""

    content: str
    frames: int
    warning: str


class MelIndex:
    """Known sound files of any folders, read when a folder is first asked for; `mel_dir` holds the mels."""

    def __init__(self, mel_dir: Path) -> None:
        self.mel_dir = mel_dir
        self._files: dict[Path, dict[str, Any]] = {}
        self._changed: set[Path] = set()

    def get(self, path: Path) -> KnownMel | None:
        """Return the known mel of a sound file and mark it as used; None when the file or its mel is new or changed."""
        try:
            sound, mel, *values = self._of_folder(path.parent)[path.name]
            known = KnownMel(*values)
            target = self.mel_dir / f"{known.content}.npy"
            if sound != stamp(path) or mel != _mel_stamp(target):
                return None
        except (KeyError, TypeError, ValueError):
            return None
        with suppress(OSError):  # the time of access, which `birdnet-nl prune` reads; that of modification is compared
            os.utime(target, ns=(time.time_ns(), mel[1]))
        return known

    def add(self, path: Path, before: list[int] | None, known: KnownMel) -> None:
        """Remember the mel of a sound file whose `stamp` was `before` when it was read, unless it changed just now."""
        mel = _mel_stamp(self.mel_dir / f"{known.content}.npy")
        if before is None or mel is None or before != stamp(path):
            return
        if time.time_ns() - max(before[1:]) > SETTLED_S * 1e9:
            self._of_folder(path.parent)[path.name] = [before, mel, *known]
            self._changed.add(path.parent)

    def write(self) -> None:
        """Write the folders with new files; a cache that cannot be written is read and hashed again next time."""
        for folder in self._changed:
            with suppress(OSError):
                write_text_atomic(self._path(folder), json.dumps(self._files[folder]))
        self._changed.clear()

    def _path(self, folder: Path) -> Path:
        name = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:24]
        return self.mel_dir / FOLDER / f"{name}.json"

    def _of_folder(self, folder: Path) -> dict[str, Any]:
        if folder not in self._files:
            files: Any = None
            with suppress(OSError, ValueError):  # missing, or damaged
                path = self._path(folder)
                files = json.loads(path.read_text(encoding="utf-8"))
                os.utime(path)
            self._files[folder] = files if isinstance(files, dict) else {}
        return self._files[folder]


def stamp(path: Path) -> list[int] | None:
    """Return size, time of modification and time of change in nanoseconds; None for a file that is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _mel_stamp(path: Path) -> list[int] | None:
    status = stamp(path)
    return None if status is None else status[:2]
