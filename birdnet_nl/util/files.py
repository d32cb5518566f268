"""Paths as users write them, and atomic writing of files: a file is complete or does not exist."""

import difflib
import os
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from birdnet_nl.util.errors import SetupError

FILE_NAMES = "surrogateescape"  # error handler for tables with file names: bytes that are not UTF-8 stay as they are


@contextmanager
def atomic_path(path: Path, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to `path` when the block succeeds and deleted otherwise.

    With `sync` the content is on the disk before the file is renamed, so that a power failure leaves no partial file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield temporary
        if sync:
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomic(path: Path, text: str) -> None:
    r"""Write a text file so that after a kill either the old or the new content is there.

    Bytes of a file name that are no UTF-8 are written as `\udc…`, which JSON reads back as the same name.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def touch_cached(path: Path) -> None:
    """Set the time of a cached file to now: `birdnet-nl prune` uses it, since many disks do not record access times."""
    with suppress(OSError):  # a read-only cache is not ours to prune
        os.utime(path)


def check_current_folder() -> None:
    """Raise `SetupError` when the current folder was deleted: no relative path can be used there."""
    try:
        Path.cwd()
    except OSError:
        raise SetupError("the current folder no longer exists; change to another one with cd") from None


def user_path(path: str | Path) -> Path:
    """Return a path that a user wrote: `~` and `~name` expanded as the shell does, accents as they are on the disk.

    A name such as `~old` stays as it is where no user has that name. An accented letter is one character on most
    systems and two on others (NFC and NFD); where only the other form exists on the disk, that one is returned.
    """
    starts_with_tilde, path = str(path).startswith("~"), Path(path)
    if starts_with_tilde:
        with suppress(RuntimeError):  # no such user, or no home directory
            path = path.expanduser()
    if str(path).isascii() or os.path.lexists(path):
        return path
    found = Path(path.anchor)
    for name in path.parts[len(found.parts) :]:
        if not os.path.lexists(found / name):
            name = next((other for other in _names_in(found) if _is_same_text(name, other)), name)
        found /= name
    return found if os.path.lexists(found) else path


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []


def _is_same_text(first: str, second: str) -> bool:
    return unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second)


def similar_path(path: str | Path) -> Path | None:
    """Return the existing path most similar to one that does not exist: its first wrong name replaced; None if none."""
    path = user_path(path)
    parts, found = path.parts[len(Path(path.anchor).parts) :], Path(path.anchor)
    for number, name in enumerate(parts):
        if not os.path.lexists(found / name):
            close = difflib.get_close_matches(name, _names_in(found), n=1, cutoff=0.7)
            similar = found.joinpath(*close, *parts[number + 1 :])
            return similar if close and os.path.lexists(similar) else None
        found /= name
    return None


def did_you_mean(path: str | Path) -> str:
    """Return ` (did you mean …?)` for a path that does not exist, or an empty string."""
    similar = similar_path(path)
    return f" (did you mean {similar}?)" if similar else ""
