"""Database of detections and results: one SQLite file on a local disk, with a versioned schema.

It is in WAL mode, so that the page reads while detections are stored. Commits survive a killed process; after a power
failure the file is consistent, and the last seconds may be missing: they are read and predicted again. Connections that
store what people typed are opened with `durable=True`, and lose nothing.
"""

import errno
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from birdnet_nl.util.errors import BirdnetNlError
from birdnet_nl.util.files import user_path

APPLICATION_ID = 0x42_4E_4E_4C  # "BNNL": identifies our files to SQLite
BUSY_S = 30.0  # wait for another process that writes
ENVIRONMENT = "BIRDNET_NL_DATABASE"
SERVICE_PATH = Path("/var/lib/birdnet_nl/detections.db")  # of the service that install-service installs
SCHEMA = ("schema.sql",)  # number n brings version n to n + 1; never change one that was released
NETWORK_FILE_SYSTEMS = frozenset({
    "nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "coda", "davfs", "davfs2",
    "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "ocfs2", "orangefs", "virtiofs", "vboxsf", "prl_fs",
    "drvfs", "webdav", "afpfs",
})  # fmt: skip
NETWORK_FUSE = re.compile(r"fuse\.(sshfs|s3fs|rclone|goofys|gcsfuse|davfs|glusterfs|ceph.*|smb.*|nfs.*|curlftpfs)")
MOUNTS = Path("/proc/self/mountinfo")
FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_TRUNCATE")
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class DatabaseError(BirdnetNlError):
    """A database that cannot be used until somebody does something."""


def default_path() -> Path:
    """Return the path of BIRDNET_NL_DATABASE, else the one in the user's data folder, else that of the service."""
    if path := os.environ.get(ENVIRONMENT):
        return user_path(path)
    data = os.environ.get("XDG_DATA_HOME") or user_path("~/.local/share")
    path = Path(data) / "birdnet_nl" / "detections.db"
    return SERVICE_PATH if not path.exists() and os.access(SERVICE_PATH, os.R_OK) else path


def open_database(path: Path, durable: bool = False, schema: Sequence[str] = SCHEMA) -> sqlite3.Connection:
    """Open a database to read and write, for one thread; it is created, or brought to the present version.

    Args:
        durable: whether a commit is on the disk when it returns, also for a power failure.
        schema: SQL files of this package, see `SCHEMA`.

    Raises:
        DatabaseError: for a network share, a file of another program, one of a newer version, or no permission.
        sqlite3.OperationalError: where it cannot be used now; see `is_temporary`.
    """
    check_local(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise sqlite3.OperationalError(f"no space for the folder {path.parent}") from None
        raise DatabaseError(f"{path.parent} cannot be made ({error.strerror}); give another --database") from None
    check_ours(path, len(schema))
    connection = _connect(path, f"file:{quote(os.fsencode(path))}")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA journal_size_limit = 16777216")
        connection.execute("PRAGMA foreign_keys = ON")
        _migrate(connection, schema)
    except BaseException:
        connection.close()
        raise
    return connection


def open_read_only(path: Path, schema: Sequence[str] = SCHEMA) -> sqlite3.Connection:
    """Open an existing database to read, for one thread.

    Raises:
        DatabaseError: as `open_database`, and where there is none or its version is older.
    """
    check_local(path)
    if not path.is_file():
        raise DatabaseError(f"{path} does not exist; start birdnet-nl watch first, or give another --database")
    version = check_ours(path, len(schema))
    if version < len(schema):
        raise DatabaseError(f"{path} is of an older version of birdnet-nl; start birdnet-nl watch once to bring it up")
    return _connect(path, f"file:{quote(os.fsencode(path))}?mode=ro")


def _connect(path: Path, uri: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise explain(error, path) from error
    connection.row_factory = sqlite3.Row
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Write in one transaction: all of the block or nothing, also when the process is killed in it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise


def check_ours(path: Path, newest: int = len(SCHEMA)) -> int:
    """Return the version of a database, 0 for a new or empty file, without changing it.

    Raises:
        DatabaseError: if it belongs to another program or is of a newer version than `newest`.
    """
    if path.is_dir():
        raise DatabaseError(f"{path} is a folder; give --database a file, such as {path / 'detections.db'}")
    try:
        if path.stat().st_size == 0:
            return 0
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise DatabaseError(f"{path} cannot be read ({error.strerror}); give another --database") from None
    connection = _connect(path, f"file:{quote(os.fsencode(path))}?mode=ro")
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        raise explain(error, path) from error
    finally:
        connection.close()
    if application != APPLICATION_ID and (tables or version):
        raise DatabaseError(
            f"{path} is the database of another program; give another --database (it may not exist yet)"
        )
    if version > newest:
        raise DatabaseError(
            f"{path} is of a newer version of birdnet-nl (schema {version}; this one knows {newest}); update birdnet-nl"
        )
    return version


def _migrate(connection: sqlite3.Connection, schema: Sequence[str]) -> None:
    """Bring the schema to the present version, in one transaction; another process may do the same."""
    if _version(connection) == len(schema):
        return
    with transaction(connection):
        for number in range(_version(connection), len(schema)):
            for statement in statements(_sql(schema[number])):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(schema)}")


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _sql(name: str) -> str:
    """Return the content of a SQL file of this package, or of any other path."""
    path = Path(name)
    return (
        path.read_text(encoding="utf-8")
        if path.is_absolute()
        else (files("birdnet_nl.stations") / name).read_text("utf-8")
    )


def statements(sql: str) -> Iterator[str]:
    """Yield the statements of a SQL text; `executescript` would commit between them."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def check_local(path: Path) -> None:
    """Raise `DatabaseError` for a file on a network share, where SQLite's locks and its WAL do not work."""
    kind = file_system_type(path)
    if kind in NETWORK_FILE_SYSTEMS or NETWORK_FUSE.fullmatch(kind):
        raise DatabaseError(
            f"{path} is on a network share ({kind}), where SQLite loses data because its locks do not work; give "
            "--database on a disk of this computer"
        )


def file_system_type(path: Path) -> str:
    """Return the type of the file system that holds a path or will hold it, such as `ext4`; empty if not known."""
    path = Path(os.path.realpath(path))
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return ""
    kind, longest = "", 0
    for line in mounts.splitlines():  # 36 35 98:0 /root /mount\\040point rw,noatime master:1 - ext4 /dev/root rw
        fields, _, source = line.partition(" - ")
        point = _unescaped(fields.split()[4])
        if path.is_relative_to(point) and len(point) >= longest:  # the latest of several on one point
            longest, kind = len(point), source.split()[0]
    return kind


def _unescaped(mount_point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), mount_point)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is replaced: device and inode, None where there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def is_temporary(error: sqlite3.Error) -> bool:
    """Return whether an operation may succeed later: a full or busy disk, a lock, a missing folder."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return isinstance(error, sqlite3.OperationalError) and not name.startswith(DAMAGED)


def explain(error: sqlite3.Error, path: Path) -> DatabaseError:
    """Return an error of SQLite as one sentence."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_NOTADB"):
        return DatabaseError(f"{path} is no SQLite database; give another --database (it may not exist yet)")
    if name.startswith("SQLITE_CORRUPT"):
        return DatabaseError(
            f"{path} is damaged; move it away and start again (detections are predicted again); save its corrections "
            f"with: sqlite3 {path} .recover"
        )
    if name.startswith(FULL):
        return DatabaseError(f"the disk of {path} is full or does not write; free some space, nothing stored is lost")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return DatabaseError(f"{path} is locked by another program for more than {BUSY_S:.0f} s")
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return DatabaseError(f"{path} cannot be opened or written; check that its folder exists and its permissions")
    return DatabaseError(f"{path} cannot be used ({error})")
