"""Lock against a second instance on one database, and a note of the detection in work that survives a crash."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from birdnet_nl.util.errors import BirdnetNlError

WIDTH = 20  # characters of a number


class AnotherInstanceError(BirdnetNlError):
    """A database that another process watches for already."""


class InstanceLock:
    """Lock file beside a database, held until the process ends however it ends; used as a context.

    It holds the number of the process and, while a detection is predicted, its id.

    Attributes:
        left_over: id of the detection in whose prediction the last process was ended; None where it ended in another
            place, or as it should.

    Raises:
        AnotherInstanceError: if another process holds it.
        OSError: if the file cannot be made.
    """

    def __init__(self, database: Path) -> None:
        database = database.resolve()  # the same for a link to it
        self.path = database.with_name(f"{database.name}.lock")
        self.left_over: int | None = None
        self._file = -1

    def __enter__(self) -> "InstanceLock":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            process = self._numbers(file)[0]
            os.close(file)
            raise AnotherInstanceError(
                f"birdnet-nl watch runs already for {self.path.with_suffix('')}"
                f"{f' (process {process})' if process else ''}; stop that one, or give another --database"
            ) from None
        self.left_over, self._file = self._numbers(file)[1], file
        self._write(f"{os.getpid():<{WIDTH}}\n{'':<{WIDTH}}\n", 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.note(None)
        os.close(self._file)
        self._file = -1

    def note(self, detection: int | None) -> None:
        """Note the detection that is predicted now, None for none."""
        self._write(f"{'' if detection is None else detection:<{WIDTH}}\n", WIDTH + 1)

    def _write(self, text: str, offset: int) -> None:
        if self._file >= 0:
            with suppress(OSError):  # a full disk
                os.pwrite(self._file, text.encode(), offset)

    @staticmethod
    def _numbers(file: int) -> tuple[int | None, int | None]:
        words = [line.strip() for line in os.pread(file, 2 * WIDTH + 2, 0).decode(errors="replace").splitlines()]
        numbers = [int(word) if word.isascii() and word.isdigit() else None for word in words]
        return tuple([*numbers, None, None][:2])
