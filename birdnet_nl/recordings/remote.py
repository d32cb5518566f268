"""Local copies of recordings at an address such as `s3://bucket/recordings`, updated when the originals change.

Any file system of fsspec works. A copy is current if its size and modification time equal those of the original; for an
object store without times, a number derived from the etag replaces the time. fsspec's own `filecache` does not fit: it
stores files under hashed names, while recordings are read from folders, and it does not remove what is gone remotely.
"""

import hashlib
import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from birdnet_nl.recordings.listing import is_hidden, suffix_of
from birdnet_nl.recordings.manifest import MANIFEST
from birdnet_nl.recordings.sound_file import SOUND_SUFFIXES
from birdnet_nl.species.table import Species
from birdnet_nl.util.console import progress_bar
from birdnet_nl.util.errors import BirdnetNlError, DataError, SetupError
from birdnet_nl.util.files import atomic_path, touch_cached

COPIED_SUFFIXES = {*SOUND_SUFFIXES, ".npy", ".csv", ".json", ".md"}
THREADS = 8
MAX_REASON_LENGTH = 300  # of the text of a store's error
RETRY_TIMEOUT_S = 30
USED = ".used"  # marker in a copied folder; its modification time is the time of last use
TIME_KEYS = ("mtime", "last_modified", "LastModified", "modified", "updated", "created")
ETAG_KEYS = ("e_tag", "ETag", "etag")
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "azure")


@dataclass(frozen=True)
class RemoteFolders:
    """Names of the folders of one species below `url`."""

    url: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class RemoteFile:
    """One file: name below the url, size in bytes (-1 if unknown), and a time or number that changes with the file."""

    name: str
    size: int
    stamp_ns: int


def is_url(root: str | Path | None) -> bool:
    return isinstance(root, str) and re.match(r"[a-zA-Z][\w+.-]*://", root) is not None


def find_remote_folders(url: str, species: Species, species_of: Callable[[Path], Species | None]) -> RemoteFolders:
    """Find the folders of `species` directly below `url`; may be empty. Raises `DataError` or `SetupError`."""
    with _store_errors(url):
        fs, top = _connect(url)
        names = [_below(entry["name"], top) for entry in fs.ls(top, detail=True) if entry["type"] == "directory"]
    return RemoteFolders(url, tuple(sorted(name for name in names if species_of(Path(name)) == species)))


def has_remote_file(folders: RemoteFolders, name: str) -> bool:
    """Return True if any of the folders contains a file called `name`."""
    with _store_errors(folders.url):
        fs, top = _connect(folders.url)
        return any(fs.exists(f"{top}/{folder}/{name}") for folder in folders.names)


def list_remote_files(folders: RemoteFolders) -> list[RemoteFile]:
    """List the files to copy, and the manifest in the parent folder, sorted by name."""
    with _store_errors(folders.url):
        fs, top = _connect(folders.url)
        entries = {f"{top}/{MANIFEST}": fs.info(f"{top}/{MANIFEST}")} if fs.exists(f"{top}/{MANIFEST}") else {}
        for name in folders.names:
            entries |= fs.find(f"{top}/{name}", detail=True)
    files = [
        RemoteFile(_below(path, top), -1 if info.get("size") is None else int(info["size"]), _stamp_ns(info))
        for path, info in entries.items()
    ]
    return sorted((file for file in files if _is_copied(file.name)), key=lambda file: file.name)


def copy_remote_folders(folders: RemoteFolders, cache_dir: Path, subject: str) -> tuple[Path, ...]:
    """Update and return local copies of the folders, with a progress bar; files that are gone remotely are removed.

    After a kill, finished files are kept and the next call copies the others.
    """
    local = local_root(folders.url, cache_dir)
    for name in folders.names:  # first, so that no `birdnet-nl prune` removes the folder meanwhile
        (local / name).mkdir(parents=True, exist_ok=True)
        (local / name / USED).touch()
        touch_cached(local / name / USED)
    files = list_remote_files(folders)
    outdated = [file for file in files if not _is_current(local / file.name, file)]
    if outdated:
        _copy_files(folders.url, outdated, local, subject)
    remote_names = {file.name for file in files}
    if MANIFEST not in remote_names:
        (local / MANIFEST).unlink(missing_ok=True)
    for path in (path for name in folders.names for path in (local / name).rglob("*")):
        if suffix_of(path.name) in COPIED_SUFFIXES and path.relative_to(local).as_posix() not in remote_names:
            path.unlink(missing_ok=True)
    return tuple(local / name for name in folders.names)


def local_root(url: str, cache_dir: Path) -> Path:
    """Return the folder for copies of `url`: a readable name that is unique for each address."""
    readable = re.sub(r"[^\w.-]+", "-", url.partition("://")[2]).strip("-")[-40:]
    return cache_dir / f"{readable}-{hashlib.sha256(url.rstrip('/').encode()).hexdigest()[:8]}"


def _copy_files(url: str, files: Sequence[RemoteFile], local: Path, subject: str) -> None:
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="copy")
    try:
        with _store_errors(url), progress_bar() as bar:
            fs, top = _connect(url)
            task = bar.add_task(f"copying recordings of {subject}", total=len(files))
            copies = [pool.submit(_copy_file, fs, f"{top}/{file.name}", file, local) for file in files]
            for copy in as_completed(copies):
                copy.result()
                bar.advance(task)
    finally:
        pool.shutdown(cancel_futures=True)


def _copy_file(fs: Any, source: str, file: RemoteFile, local: Path) -> None:
    with atomic_path(local / file.name) as part:
        fs.get_file(source, os.fspath(part))
        if file.size >= 0 and part.stat().st_size != file.size:
            raise OSError(f"{file.name} arrived with {part.stat().st_size} of {file.size} bytes")
        os.utime(part, ns=(part.stat().st_atime_ns, file.stamp_ns))


def _is_current(path: Path, file: RemoteFile) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    # Some file systems store times with a resolution of two seconds.
    return status.st_size == file.size and abs(status.st_mtime_ns - file.stamp_ns) < 2_000_000_000


def _stamp_ns(info: dict[str, Any]) -> int:
    """Return the modification time in nanoseconds, else a number derived from the etag, else 0."""
    for key in TIME_KEYS:
        if isinstance(value := info.get(key), datetime):
            return int(value.timestamp() * 1e9)
        if isinstance(value, int | float):
            return int(value * 1e9)
    etag = next((str(info[key]) for key in ETAG_KEYS if info.get(key)), "")
    return int(hashlib.sha256(etag.encode()).hexdigest()[:8], 16) * 10**9 // 4 if etag else 0


def _is_copied(name: str) -> bool:
    *folders, file = Path(name).parts
    hidden = is_hidden(file, is_folder=False) or any(is_hidden(folder, is_folder=True) for folder in folders)
    return suffix_of(file) in COPIED_SUFFIXES and not hidden


def _below(path: str, top: str) -> str:
    return path.rstrip("/")[len(top) :].lstrip("/")


def _connect(url: str) -> tuple[Any, str]:
    """Return the file system of an address and the path in it; raise `SetupError` if its library is missing."""
    import fsspec

    try:
        fs, path = fsspec.url_to_fs(url, **_object_store_options(url.partition("://")[0].lower()))
    except ImportError:
        raise SetupError(f'data.root={url} needs a library that is not installed: pip install -e ".[s3]"') from None
    except ValueError as error:
        raise DataError(
            f"data.root={url} is of an unknown kind ({error}); possible: s3://, gs://, az://, file://, or a folder"
        ) from None
    fs.invalidate_cache()
    return fs, path.rstrip("/")


def _object_store_options(protocol: str) -> dict[str, Any]:
    """Use obstore for object stores if it is installed, else the libraries that fsspec finds (s3fs, gcsfs, …)."""
    if protocol not in OBJECT_STORES or importlib.util.find_spec("obstore") is None:
        return {}
    from obstore.fsspec import register

    register(protocol)
    return {"retry_config": {"max_retries": 3, "retry_timeout": timedelta(seconds=RETRY_TIMEOUT_S)}}


@contextmanager
def _store_errors(url: str) -> Iterator[None]:
    """Convert the errors of any store to a `DataError` of one sentence."""
    try:
        yield
    except BirdnetNlError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        kind, status = type(error).__name__, re.search(r"status code: (\d+)", reason)
        code = status[1] if status else ""
        if isinstance(error, FileNotFoundError | NotADirectoryError) or kind == "NotFoundError" or code == "404":
            raise DataError(f"data.root={url} does not exist: no such bucket or folder; check the address") from error
        is_refused = kind in ("PermissionDeniedError", "UnauthenticatedError") or code in ("401", "403")
        if isinstance(error, PermissionError) or is_refused:
            raise DataError(
                f"data.root={url} may not be read; give credentials, for S3 in AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket"
            ) from error
        raise DataError(
            f"data.root={url} cannot be read ({reason[:MAX_REASON_LENGTH]}); try again, finished copies are kept"
        ) from error
