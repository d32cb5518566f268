"""Our own database: created, brought to the present version, and refused where it would lose data or is not ours."""

import multiprocessing
import sqlite3
from importlib.resources import files

import pytest

from birdnet_nl.stations import database
from birdnet_nl.stations.database import (
    DatabaseError,
    default_path,
    file_system_type,
    is_temporary,
    open_database,
    open_read_only,
    statements,
    transaction,
)

MOUNTS = (
    "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
    "30 22 0:40 / {share} rw,relatime shared:1 - {kind} nas:/volume1 rw,vers=4.2\n"
)


def tables(connection):
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_a_new_database_has_the_schema_and_is_in_wal_mode(tmp_path):
    connection = open_database(tmp_path / "new folder" / "a#?%.db")
    assert tables(connection) == {"stations", "detections", "results", "corrections", "outbox", "changes"}
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 1
    assert open_database(tmp_path / "new folder" / "a#?%.db", durable=True).execute(
        "PRAGMA synchronous"
    ).fetchone()[0] == 2  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "new folder").iterdir())[0] == "a#?%.db"


def test_a_reader_cannot_write_and_needs_a_database(tmp_path):
    path = tmp_path / "d.db"
    with pytest.raises(DatabaseError, match=r"does not exist; start birdnet-nl watch first"):
        open_read_only(path)
    open_database(path).close()
    reader = open_read_only(path)
    assert reader.execute("SELECT count(*) FROM detections").fetchone()[0] == 0
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("INSERT INTO stations (name) VALUES ('x')")


def test_an_older_version_is_migrated_and_keeps_its_rows(tmp_path):
    path = tmp_path / "d.db"
    old = open_database(path)
    old.execute("INSERT INTO stations (name) VALUES ('garden')")
    old.close()
    second = tmp_path / "2.sql"
    second.write_text("ALTER TABLE stations ADD COLUMN place TEXT NOT NULL DEFAULT '';\nCREATE TABLE more (x);")
    schema = (*database.SCHEMA, str(second))
    with pytest.raises(DatabaseError, match="older version"):
        open_read_only(path, schema)
    assert tuple(open_database(path, schema=schema).execute("SELECT * FROM stations").fetchone()) == (
        "garden", "", "{}", "",
    )  # fmt: skip
    assert "more" in tables(open_read_only(path, schema))
    fresh = open_database(tmp_path / "fresh.db", schema=schema)
    assert "more" in tables(fresh) and fresh.execute("PRAGMA user_version").fetchone()[0] == 2
    with pytest.raises(DatabaseError, match=r"newer version of birdnet-nl \(schema 2; this one knows 1\)"):
        open_database(path)


def test_a_migration_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "d.db"
    open_database(path).close()
    second = tmp_path / "2.sql"
    second.write_text("CREATE TABLE more (x);\nCREATE TABLE stations (x);")
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        open_database(path, schema=(*database.SCHEMA, str(second)))
    connection = open_database(path)
    assert "more" not in tables(connection) and connection.execute("PRAGMA user_version").fetchone()[0] == 1


def test_statements_are_those_of_the_schema():
    sql = (files("birdnet_nl.stations") / "schema.sql").read_text(encoding="utf-8")
    assert len([text for text in statements(sql) if "CREATE" in text]) == sql.count("\nCREATE ")


def test_databases_of_other_programs_are_refused_and_not_changed(tmp_path):
    path = tmp_path / "birds.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE detections (Date DATE, Time TIME)")
    other.commit()
    other.close()
    before = path.read_bytes()
    for opening in (open_database, open_read_only):
        with pytest.raises(DatabaseError, match="is the database of another program"):
            opening(path)
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["birds.db"]


def test_what_is_no_database_is_refused(tmp_path):
    path = tmp_path / "song.wav"
    path.write_bytes(b"RIFF" * 1000)
    with pytest.raises(DatabaseError, match="is no SQLite database"):
        open_database(path)
    with pytest.raises(DatabaseError, match="is a folder; give --database a file"):
        open_database(tmp_path)
    with pytest.raises(DatabaseError, match="cannot be made"):
        open_database(path / "d.db")


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs", "fuse.rclone"])
def test_a_network_share_is_refused_with_the_reason(tmp_path, monkeypatch, kind):
    share = tmp_path / "my share"
    share.mkdir()
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(share=str(share).replace(" ", "\\040"), kind=kind))
    monkeypatch.setattr(database, "MOUNTS", mounts)
    assert file_system_type(share / "not" / "yet" / "d.db") == kind
    with pytest.raises(DatabaseError, match=rf"is on a network share \({kind}\), where SQLite loses data"):
        open_database(share / "d.db")
    assert not list(share.iterdir())
    (tmp_path / "link").symlink_to(share)
    with pytest.raises(DatabaseError, match="network share"):
        open_read_only(tmp_path / "link" / "d.db")
    open_database(tmp_path / "d.db").close()


def test_the_default_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("BIRDNET_NL_DATABASE", raising=False)
    assert default_path() == tmp_path / "birdnet_nl" / "detections.db"
    monkeypatch.setenv("BIRDNET_NL_DATABASE", "/somewhere/d.db")
    assert str(default_path()) == "/somewhere/d.db"


def test_a_transaction_is_whole_or_nothing(tmp_path):
    connection = open_database(tmp_path / "d.db")
    with pytest.raises(KeyboardInterrupt), transaction(connection):
        connection.execute("INSERT INTO stations (name) VALUES ('x')")
        raise KeyboardInterrupt
    assert connection.execute("SELECT count(*) FROM stations").fetchone()[0] == 0


def test_a_full_database_is_a_temporary_error_and_works_again(tmp_path):
    connection = open_database(tmp_path / "d.db")
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError) as caught, transaction(connection):
        for number in range(1000):
            connection.execute("INSERT INTO stations VALUES (?, '', ?)", (str(number), "x" * 1000))
    assert is_temporary(caught.value)
    assert "is full or does not write" in str(database.explain(caught.value, tmp_path / "d.db"))
    connection.execute("PRAGMA max_page_count = 1000000")
    with transaction(connection):
        connection.execute("INSERT INTO stations (name) VALUES ('x')")


def _open(path):
    open_database(path).close()


def test_several_processes_may_create_it_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_open, args=(tmp_path / "d.db",)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
