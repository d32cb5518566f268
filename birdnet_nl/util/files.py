"""Atomic writing of files: a file is complete or does not exist."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
    """Write a text file so that after a kill either the old or the new content is there."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def touch_cached(path: Path) -> None:
    """Set the time of a cached file to now: `birdnet-nl prune` uses it, since many disks do not record access times."""
    with suppress(OSError):  # a read-only cache is not ours to prune
        os.utime(path)
