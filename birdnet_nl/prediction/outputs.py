"""Output folder of a prediction: files are written whole or not at all, and times run on over files."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from birdnet_nl.prediction.rows import Row, RowOptions
from birdnet_nl.prediction.stored import STATE

MAX_NAME_BYTES = 255


@dataclass(frozen=True)
class FileRows:
    """Rows of one file.

    Attributes:
        relative: below the folder of the inputs; empty for rows that get no file of their own.
        duration_s: 0 where it is not known.
    """

    relative: str
    duration_s: float
    rows: Sequence[Row]


@dataclass(frozen=True)
class OutputFolder:
    """Folder of the results; `part` marks the files of a shard, as in `segments.3-of-16.csv`."""

    path: Path
    part: str = ""
    options: RowOptions = field(default_factory=RowOptions)

    def combined(self, name: str) -> Path:
        stem, dot, suffix = name.partition(".")
        return self.path / f"{stem}{self.part}{dot}{suffix}"

    def beside(self, relative: str, suffix: str) -> Path:
        """Return the path for a file of one recording; a name that would be too long is shortened."""
        folder, _, name = relative.rpartition("/")
        raw = os.fsencode(name)
        if len(raw) + len(suffix) > MAX_NAME_BYTES:
            digest = hashlib.sha256(raw).hexdigest()[:12]
            raw = raw[: MAX_NAME_BYTES - len(suffix) - 13] + b"~" + digest.encode()
            raw = raw.decode("utf-8", "ignore").encode()
        return self.path / folder / (os.fsdecode(raw) + suffix)

    @contextmanager
    def whole(self, path: Path) -> Iterator[Path]:
        """Yield a temporary path in the state folder that becomes `path` when the block succeeds."""
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = self.path / STATE / "parts"
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.{os.getpid()}"
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


class RunningTime:
    """Time at which each file begins when all files are played one after the other."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self.begin_s: dict[str, float] = {}  # of files whose rows may come in several parts

    def begin(self, file: FileRows) -> float:
        if not file.relative and file.rows:
            name = str(file.rows[0].file)
            if name in self.begin_s:
                return self.begin_s[name]
            self.begin_s[name] = self.elapsed_s
        begin_s = self.elapsed_s
        self.elapsed_s += file.duration_s
        return begin_s


Write = Callable[[FileRows], None]


def printable(path: Path | str) -> str:
    r"""Return a path as valid text: bytes that are not UTF-8 become `\udc…`."""
    return str(path).encode("utf-8", "backslashreplace").decode()
