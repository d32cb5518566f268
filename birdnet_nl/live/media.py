"""Clips and spectrograms of detections: found by the id of a detection, never by a path of a request."""

import hashlib
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import numpy as np

from birdnet_nl.audio.decode import mono_blocks
from birdnet_nl.audio.spectrogram_image import encode_png, spectrogram_shades
from birdnet_nl.live.queries import Row
from birdnet_nl.live.refused import RefusedError
from birdnet_nl.live.settings import LiveSettings
from birdnet_nl.stations.birdnet_pi_clips import BirdnetPiClips
from birdnet_nl.stations.clip_access import open_clips, stored_settings
from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.stations.station import AudioGoneError, AudioNotReadyError, StationUnavailableError
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import atomic_path, touch_cached

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
    """Clips of the stations, with caches of limited size for spectrograms and for clips that a station sends."""

    def __init__(self, settings: LiveSettings, max_cache_bytes: int = 200_000_000) -> None:
        self._settings = settings
        self._cache = FileCache(settings.cache / "spectrograms", max_cache_bytes)
        self._sent = FileCache(settings.cache / "clips", max_cache_bytes)
        self._working = threading.BoundedSemaphore(MAX_AT_ONCE)
        self._finders: dict[Path, BirdnetPiClips] = {}
        self._lock = threading.Lock()

    def clip(self, connection: sqlite3.Connection, row: Row) -> Path:
        """Return the real path of a clip; raises `RefusedError` if it is gone or not below the clip folder."""
        stored = stored_settings(connection, row.station)
        if stored.get("kind") == "birdnet-go" and self._settings.clips is None:
            return self._sent_clip(connection, row)
        folder = self._settings.clips or stored.get("clips")
        if not folder or not isinstance(folder, str | Path) or not row.clip:
            raise RefusedError(404, "The recording is not there.")
        folder, name = Path(folder), row.clip
        if stored.get("kind") == "birdnet-pi":  # its folders have the names of species in the language of its page
            with self._lock:
                found = self._finders.setdefault(folder, BirdnetPiClips(folder)).find(name)
            name = str(found) if found else name
        return checked_clip(folder, name)

    def _sent_clip(self, connection: sqlite3.Connection, row: Row) -> Path:
        """Return the copy of a clip that a station sends over HTTP."""
        key = hashlib.sha256(repr((row.station, row.key, row.clip)).encode("utf-8", "replace")).hexdigest()[:40]
        for suffix in MEDIA_TYPES:
            if (path := self._sent.find(f"{key}{suffix}")) is not None:
                return path
        with self._one_of_few():
            access = open_clips(connection, row.station)
            try:
                with access.clip(_station_detection(row)) as path:
                    suffix = path.suffix.lower()
                    if suffix not in MEDIA_TYPES or path.stat().st_size > MAX_CLIP_BYTES:
                        raise RefusedError(404, "The recording is not there.")
                    self._sent.write(f"{key}{suffix}", path.read_bytes())
            except (AudioGoneError, AudioNotReadyError, StationUnavailableError, DataError, ValueError, OSError):
                raise RefusedError(404, "The recording is not there.") from None
            finally:
                getattr(access, "close", lambda: None)()
        if (path := self._sent.find(f"{key}{suffix}")) is None:  # no room on the disk
            raise RefusedError(404, "The recording is not there.")
        return path

    @contextmanager
    def _one_of_few(self) -> Iterator[None]:
        if not self._working.acquire(timeout=WAIT_S):
            raise RefusedError(429, "Too many requests; wait a moment.", {"retry-after": "5"})
        try:
            yield
        finally:
            self._working.release()

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
        with self._one_of_few():
            try:
                image = draw(clip, row.start_s, row.end_s)
            except (DataError, OSError):
                raise RefusedError(404, "The recording cannot be drawn.") from None
        self._cache.write(f"{key}.png", image)
        return image


def _station_detection(row: Row) -> StationDetection:
    moment = datetime.fromisoformat(row.recorded_at)
    return StationDetection(row.key, moment, row.scientific_name, row.common_name, row.confidence, row.clip, row.source)


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

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._lock, self._unchecked = threading.Lock(), max_bytes  # bytes written since the last check of the size

    def read(self, name: str) -> bytes | None:
        path = self._folder / name
        try:
            content = path.read_bytes()
        except OSError:
            return None
        touch_cached(path)
        return content

    def find(self, name: str) -> Path | None:
        """Return the path of a file that is there, as the one used last."""
        path = self._folder / name
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def write(self, name: str, content: bytes) -> None:
        """Write a file; without room on the disk the page works without the cache."""
        with suppress(OSError), atomic_path(self._folder / name, sync=False) as temporary:
            temporary.write_bytes(content)
        with self._lock:
            self._unchecked += len(content)
            if is_due := self._unchecked > self._max_bytes / 20:
                self._unchecked = 0
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
