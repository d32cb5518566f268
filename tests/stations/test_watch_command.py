"""`birdnet-nl watch`: options, exit codes and log lines; the stations have tests of their own."""

import json
import logging
import sqlite3
import sys
from contextlib import closing

import pytest
import typer
from fake_model import load_fake
from typer.testing import CliRunner

from birdnet_nl.commands import watch as command
from birdnet_nl.commands.watch import run_watch, watch_app
from birdnet_nl.commands.watch_options import CommonOptions, parse_again, parse_window
from birdnet_nl.stations import database as database_module
from birdnet_nl.stations.instance_lock import InstanceLock
from birdnet_nl.stations.watch_log import LineFormatter
from birdnet_nl.util import signals
from birdnet_nl.util.errors import SelectionError

# a network share, see test_database.py
MOUNTS = "22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 0:40 / {share} rw shared:1 - nfs4 nas:/volume1 rw\n"


@pytest.fixture
def clips(tmp_path, write_clip, monkeypatch):
    monkeypatch.setattr("birdnet_nl.inference.model.load_model", load_fake)
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("song", "call", "alarm")):
        write_clip(tmp_path / "clips" / "koolmees" / f"20261130_06000{number}.wav", name, around=name)
    return tmp_path / "clips"


def watch(*words):
    return CliRunner().invoke(watch_app, [str(word) for word in words])


def results(tmp_path):
    connection = sqlite3.connect(tmp_path / "d.db")
    try:
        query = "SELECT clip, type, channel FROM results JOIN detections ON detections.id = results.detection "
        return sorted(connection.execute(query + "LEFT JOIN outbox ON outbox.result = results.id").fetchall())
    finally:
        connection.close()


def test_a_folder_is_predicted_once(tmp_path, clips, write_models):
    write_models("a", "koolmees")
    done = watch("folder", clips, "--once", "--database", tmp_path / "d.db")
    assert (done.exit_code, done.exception) == (0, None), done.output
    types = {f"koolmees/20261130_06000{number}.wav": name for number, name in enumerate(("song", "call", "alarm"))}
    assert results(tmp_path) == [(clip, name, None) for clip, name in types.items()]
    health = json.loads((tmp_path / "d.health.json").read_text())
    assert health["states"]["done"] == 3 and health["status"] == "stopped"
    connection = sqlite3.connect(tmp_path / "d.db")
    assert json.loads(connection.execute("SELECT settings FROM stations").fetchone()[0])["clips"] == str(clips)
    connection.close()
    assert "watching folder with koolmees a" in done.stderr and "error" not in done.stderr


def test_results_wait_for_a_webhook_that_is_away(tmp_path, clips, write_models, monkeypatch):
    monkeypatch.setattr(command, "ONCE_DELIVERY_S", 0.2)
    models = write_models("a", "koolmees")
    words = ("--webhook", "http://127.0.0.1:9/hook", "-m", models, "--window-s", "0,1", "--health", tmp_path / "h.json")
    assert watch("folder", clips, "--once", "--database", tmp_path / "d.db", *words).exit_code == 0
    assert [channel for _, _, channel in results(tmp_path)] == ["webhook"] * 3 and (tmp_path / "h.json").exists()


def test_a_share_is_refused_before_anything_is_written(tmp_path, clips, write_models, monkeypatch):
    write_models("a", "koolmees")
    (tmp_path / "share").mkdir()
    (tmp_path / "mounts").write_text(MOUNTS.format(share=tmp_path / "share"))
    monkeypatch.setattr(database_module, "MOUNTS", tmp_path / "mounts")
    refused = watch("folder", clips, "--once", "--database", tmp_path / "share" / "d.db")
    assert refused.exit_code == 2 and "is on a network share" in refused.output
    assert not list((tmp_path / "share").iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("folder", "missing"), "there is no folder missing"),
        (("folder", "clips", "-m", "nowhere"), "--model nowhere does not exist"),
        (("folder", "clips", "--window-s", "3"), "--window-s 3 is no part of a clip"),
        (("folder", "clips", "--context-s", "-1"), "--context-s -1 must be 0 or more"),
        (("folder", "clips", "--again", "since=soon"), "--again since=soon names no date"),
        (("folder", "clips", "--species", "koolmeees"), "did you mean koolmees"),
        (("folder", "clips", "--database", "clips"), "clips is a folder"),
        (("folder", "clips", "--database", "models/a/koolmees.fake"), "is no SQLite database"),
        (("folder", "clips", "--mqtt-host", "a b"), "--mqtt-host 'a b' is no host name"),
        (("birdnet-go", "--comment"), "--comment needs a login"),
        (("birdnet-go", "--url", "ftp://x"), "--url"),
        (("birdnet-go", "--pre-capture-s", "-3"), "--pre-capture-s -3 is not possible"),
        (("birdnet-pi", "--db", "missing.db"), "missing.db"),
        (("folder", "clips", "--mqtt-tls"), "--mqtt-tls does nothing without --mqtt-host"),
        (("folder", "clips", "--mqtt-user", "birds"), "--mqtt-user does nothing without --mqtt-host"),
        (("folder", "clips", "--webhook-token-file", "t"), "--webhook-token-file does nothing without --webhook"),
        (("folder", "clips", "--health", "clips"), "--health clips is no health file"),
    ],
)
def test_what_is_not_possible_is_one_sentence_and_exit_code_2(clips, write_models, words, message):
    write_models("a", "koolmees")
    database = () if "--database" in words else ("--database", "d.db")
    refused = watch(*words, "--once", *database)
    assert refused.exit_code == 2 and isinstance(refused.exception, SystemExit)
    last = refused.output.strip().splitlines()
    assert message in last[-1] and len(last) == 1, refused.output


def test_a_health_file_replaces_no_other_file(tmp_path, clips, write_models):
    """A mistyped --health once replaced the database of the station."""
    write_models("a", "koolmees")
    with closing(sqlite3.connect(tmp_path / "birds.db")) as connection, connection:
        connection.execute("CREATE TABLE detections (a)")
    (tmp_path / "settings.json").write_text('{"a": 1}')
    for name in ("birds.db", "settings.json"):
        before = (tmp_path / name).read_bytes()
        refused = watch("folder", clips, "--once", "--database", "d.db", "--health", name)
        assert refused.exit_code == 2 and f"{name} is no health file" in refused.output
        assert (tmp_path / name).read_bytes() == before
    (tmp_path / "zeros.json").write_bytes(bytes(500))  # after a power failure
    for _ in range(2):
        assert watch("folder", clips, "--once", "--database", "d.db", "--health", "zeros.json").exit_code == 0


def test_the_webhook_may_be_in_the_environment(tmp_path, clips, write_models, monkeypatch):
    write_models("a", "koolmees")
    monkeypatch.setattr(command, "ONCE_DELIVERY_S", 0.1)
    monkeypatch.setenv("BIRDNET_NL_WEBHOOK", "http://127.0.0.1:9/hook")
    assert watch("folder", clips, "--once", "--database", "d.db").exit_code == 0
    assert [channel for _, _, channel in results(tmp_path)] == ["webhook"] * 3


def test_no_model_and_a_second_instance_have_their_own_codes(tmp_path, clips, write_models):
    refused = watch("folder", clips, "--once", "--database", "d.db")
    assert refused.exit_code == 2 and "no model" in refused.output
    write_models("a", "koolmees")
    with InstanceLock(tmp_path / "d.db"):
        refused = watch("folder", clips, "--once", "--database", "d.db")
    assert refused.exit_code == 3 and "runs already for" in refused.output


def test_again_is_done_by_the_instance_that_runs(tmp_path, clips, write_models):
    write_models("a", "koolmees")
    assert watch("folder", clips, "--once", "--database", "d.db").exit_code == 0
    write_models("b", "koolmees")
    with InstanceLock(tmp_path / "d.db"):
        done = watch("folder", clips, "--again", "since=2026-11-30T06:00:01", "--database", "d.db")
    assert done.exit_code == 0 and "2 detections are predicted again" in done.output
    connection = sqlite3.connect(tmp_path / "d.db")
    states = connection.execute("SELECT state, count(*) FROM detections GROUP BY state ORDER BY state").fetchall()
    connection.close()
    assert states == [("done", 1), ("new", 2)]


@pytest.mark.parametrize(("number", "code"), [(15, 0), (2, 130)])
def test_sigterm_is_a_good_end_and_ctrl_c_is_130(tmp_path, monkeypatch, write_models, number, code):
    def stop(*arguments):
        signals._State.received = number
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_watch", stop)
    monkeypatch.setattr(signals._State, "received", None)
    options = CommonOptions(database=tmp_path / "d.db")
    if code:
        with pytest.raises(typer.Exit) as ended:
            run_watch(lambda: None, options)
        assert ended.value.exit_code == code
    else:
        run_watch(lambda: None, options)


def test_dates_and_windows_are_read():
    assert str(parse_again("since=2026-11-01")) == str(parse_again("2026-11-01")) == "2026-11-01 00:00:00"
    assert parse_again("") is None and parse_window("") is None and parse_window(" 1.5, 4.5") == (1.5, 4.5)
    for text in ("1", "1,2,3", "a,b", ","):
        with pytest.raises(SelectionError):
            parse_window(text)


def test_log_lines_are_plain_and_have_priorities_in_the_journal():
    try:
        raise ZeroDivisionError("bug")
    except ZeroDivisionError:
        error = sys.exc_info()
    record = logging.LogRecord("birdnet_nl", logging.WARNING, "", 0, "the disk\n\x1b[2J is full", (), error)
    lines = LineFormatter(False, True).format(record).split("\n")
    assert lines[0] == "<4>the disk  [2J is full" and lines[-1] == "<4>ZeroDivisionError: bug"
    record.exc_info = record.exc_text = None
    assert LineFormatter(False, False).format(record) == "warning: the disk  [2J is full"
    record.levelno = logging.INFO
    assert LineFormatter(True, False).format(record)[8:] == " the disk  [2J is full"


def test_help_documents_states_and_exit_codes():
    text = " ".join(watch("birdnet-pi", "--help").output.split())
    for words in ("3 another", "no model", "audio gone", "--again", "--health"):
        assert words in text
