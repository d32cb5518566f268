"""Files that are there whole or not at all."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_path(path: Path, sync: bool = True) -> Iterator[Path]:
    """A path beside `path` to write to; it gets its final name when the block ends well and goes when it does not.

    With `sync` the bytes have reached the disk before the file gets its name, so that a power cut leaves no half file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield beside
        if sync:
            with beside.open("r+b") as file:
                os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text_atomic(path: Path, text: str) -> None:
    """Write a text file so that a kill leaves the old one or the new one."""
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8")


def touch_cached(path: Path) -> None:
    """Set a cached file's time to now, by which `birdnet-nl prune` knows what is in use: many disks note no reading."""
    with suppress(OSError):  # a cache that may only be read is somebody else's to prune
        os.utime(path)
