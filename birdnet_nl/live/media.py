"""Clips and spectrograms of detections: found by the id of a detection, never by a path of a request."""

import hashlib
import json
import os
import sqlite3
import stat
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np

from birdnet_nl.audio.decode import mono_blocks
from birdnet_nl.audio.spectrogram_image import encode_png, spectrogram_shades
from birdnet_nl.live.queries import Row
from birdnet_nl.live.refused import RefusedError
from birdnet_nl.live.settings import LiveSettings
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import atomic_path

MEDIA_TYPES = {
    ".mp3": "audio/mpeg", ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".oga": "audio/ogg",
    ".opus": "audio/ogg", ".m4a": "audio/mp4", ".aac": "audio/aac", ".webm": "audio/webm",
}  # fmt: skip
"""Suffixes of clips that browsers play; files with others are never sent."""
MAX_CLIP_BYTES = 200_000_000
SHOWN_S = 60.0  # of a clip, from its start
WIDTH = 640
DIMMED = 0.45  # brightness outside the part that was predicted
DRAWING_VERSION = 1  # increase it when the drawing changes
MAX_AT_ONCE = 2  # spectrograms that are computed
WAIT_S = 20.0


class Media:
    """Clips below the clip folders of the stations, and a cache of their spectrograms with a limited size."""

    def __init__(self, settings: LiveSettings, max_cache_bytes: int = 200_000_000) -> None:
        self._settings = settings
        self._cache = FileCache(settings.cache / "spectrograms", max_cache_bytes)
        self._computing = threading.BoundedSemaphore(MAX_AT_ONCE)

    def clip(self, connection: sqlite3.Connection, row: Row) -> Path:
        """Return the real path of a clip; raises `RefusedError` if it is gone or not below the clip folder."""
        folder = self._clip_folder(connection, row.station)
        if folder is None:
            raise RefusedError(404, "The recording is not there.")
        return checked_clip(folder, row.clip)

    def _clip_folder(self, connection: sqlite3.Connection, station: str) -> Path | None:
        if self._settings.clips is not None:
            return self._settings.clips
        stored = connection.execute("SELECT settings FROM stations WHERE name = ?", (station,)).fetchone()
        try:
            folder = json.loads(stored["settings"]).get("clips") if stored else None
        except (ValueError, AttributeError):
            return None
        return Path(folder) if isinstance(folder, str) and folder else None

    def spectrogram(self, clip: Path, row: Row) -> bytes:
        """Return the PNG of a clip, from the cache or computed; bright where it was predicted."""
        try:
            facts = clip.stat()
        except OSError:
            raise RefusedError(404, "The recording is not there.") from None
        parts = (DRAWING_VERSION, os.fsencode(clip), facts.st_size, facts.st_mtime_ns, row.start_s, row.end_s)
        key = hashlib.sha256(repr(parts).encode()).hexdigest()[:40]
        if (image := self._cache.read(f"{key}.png")) is not None:
            return image
        if not self._computing.acquire(timeout=WAIT_S):
            raise RefusedError(429, "Too many requests; wait a moment.", {"retry-after": "5"})
        try:
            image = draw(clip, row.start_s, row.end_s)
        except (DataError, OSError):
            raise RefusedError(404, "The recording cannot be drawn.") from None
        finally:
            self._computing.release()
        self._cache.write(f"{key}.png", image)
        return image


def checked_clip(folder: Path, clip: str) -> Path:
    """Return the real path of a clip below a folder.

    Links are followed first, so that neither `..` nor an absolute path nor a link leads outside; only regular files
    with the suffix of a sound file are accepted.
    """
    missing = RefusedError(404, "The recording is not there.")
    try:
        root, path = Path(os.path.realpath(folder)), Path(os.path.realpath(folder / clip, strict=True))
        facts = path.stat()
    except (OSError, ValueError):  # ValueError: a null byte
        raise missing from None
    is_below = path.is_relative_to(root) and path != root
    if not is_below or path.suffix.lower() not in MEDIA_TYPES or not stat.S_ISREG(facts.st_mode):
        raise missing
    if facts.st_size > MAX_CLIP_BYTES:
        raise missing
    return path


def draw(clip: Path, start_s: float | None, end_s: float | None) -> bytes:
    """Draw up to `SHOWN_S` of a clip, dimmed outside `start_s` to `end_s`; raises `DataError` if it has no sound."""
    blocks, count, rate_hz = [], 0, 0
    for mono, rate_hz in mono_blocks(clip):
        blocks.append(mono.copy())
        count += len(mono)
        if count >= SHOWN_S * rate_hz:
            break
    if not count:
        raise DataError("contains no samples")
    samples = np.concatenate(blocks)[: int(SHOWN_S * rate_hz)]
    shades = spectrogram_shades(samples, rate_hz, WIDTH)
    if start_s is not None and end_s is not None:
        columns = np.linspace(0, len(samples) / rate_hz, WIDTH, endpoint=False)
        outside = (columns < start_s) | (columns >= end_s)
        if not outside.all():
            shades[:, outside] = (shades[:, outside] * DIMMED).astype(np.uint8) & 0xF0
    return encode_png(shades)


class FileCache:
    """Small files in one folder; the ones unused for longest are deleted above the limit of size."""

    CHECK_EVERY = 50  # files written between two checks of the size

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._lock, self._written = threading.Lock(), 0

    def read(self, name: str) -> bytes | None:
        path = self._folder / name
        try:
            content = path.read_bytes()
        except OSError:
            return None
        with suppress(OSError):
            os.utime(path)
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file; without room on the disk the page works without the cache."""
        with suppress(OSError), atomic_path(self._folder / name, sync=False) as temporary:
            temporary.write_bytes(content)
        with self._lock:
            is_due = self._written % self.CHECK_EVERY == 0
            self._written += 1
        if is_due:
            self.shrink()

    def shrink(self) -> None:
        """Delete the files unused for longest until the folder is below nine tenths of the limit."""
        try:
            with os.scandir(self._folder) as entries:
                files = sorted((entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in entries)
        except OSError:
            return
        total = sum(size for _, size, _ in files)
        if total <= self._max_bytes:
            return
        for _, size, path in files:
            with suppress(OSError):
                Path(path).unlink()
            total -= size
            if total <= 0.9 * self._max_bytes:
                return
