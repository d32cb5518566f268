"""Processes that are killed, ended by a signal, started twice, or whose disk is full."""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_station import detection, write_file

from birdnet_nl.stations.detection import State
from birdnet_nl.stations.instance_lock import AnotherInstanceError, InstanceLock

HERE = Path(__file__).parent
COUNT = 300
CRASHED = "SELECT crashes FROM detections WHERE key = 'clip-2' AND state = 'failed'"


@pytest.fixture
def folder(tmp_path, write_clip, write_models):
    """Clips (1 in 10 deleted, 1 in 10 damaged), a file with the detections, and models."""
    write_models("a", "koolmees")
    first = {name: write_clip(tmp_path / f"{name}.wav", name).read_bytes() for name in ("song", "call", "alarm")}
    (tmp_path / "clips").mkdir()
    for number in range(COUNT):
        content = first[("song", "call", "alarm")[number % 3]] if number % 10 else b"damaged" * 9
        (tmp_path / "clips" / f"{number}.wav").write_bytes(content)
    write_file(tmp_path / "station.json", [detection(number) for number in range(COUNT)])
    return tmp_path


def _default_sigint():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell lets its programs ignore it


def start(folder, *words, delay_s=0.0, database="d.db", **options):
    arguments = [folder / "clips", folder / "station.json", folder / "models", folder / database, *words]
    env = os.environ | {
        "FAKE_MODEL_DELAY": str(delay_s), "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parents[1]}",
        "FAKE_MODEL_LOG": str(folder / "predicted.log"),
    }  # fmt: skip
    command = [sys.executable, HERE / "watch_process.py", *arguments]
    options.setdefault("preexec_fn", _default_sigint)
    return subprocess.Popen([str(word) for word in command], env=env, **options)


def query(folder, sql, database="d.db"):
    connection = sqlite3.connect(folder / database, timeout=20)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def wait_until(condition, process, timeout_s=60.0):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        assert process.poll() is None
        try:
            if condition():
                return
        except sqlite3.Error:
            pass
        time.sleep(0.05)
    pytest.fail(f"did not happen within {timeout_s} s")


def check_complete(folder, keys, database="d.db"):
    states = dict(query(folder, "SELECT key, state FROM detections", database))
    assert states == {key: State.DONE if int(key[5:]) % 10 else State.FAILED for key in keys}
    results = query(folder, "SELECT key, type FROM results JOIN detections ON detections.id = detection", database)
    types = {key: ("song", "call", "alarm")[int(key[5:]) % 3] for key in keys if int(key[5:]) % 10}
    assert len(results) == len(types) and dict(results) == types
    messages = query(folder, "SELECT result FROM outbox", database)
    assert len(messages) == len(set(messages)) == len(types)
    assert query(folder, "PRAGMA integrity_check", database) == [("ok",)]


@pytest.mark.slow
def test_30_kills_at_random_moments_lose_nothing_and_store_nothing_twice(folder):
    rng, reached = random.Random(21), []
    for number in range(30):
        process = start(folder, delay_s=0.02)
        time.sleep(rng.uniform(0.3, 1.2))
        process.kill()
        process.wait()
        if (folder / "d.db").exists() and query(folder, "SELECT 1 FROM sqlite_master WHERE name = 'results'"):
            reached.append(query(folder, "SELECT count(*) FROM results")[0][0])
        write_file(folder / "station.json", [detection(index) for index in range(COUNT - 30 + number + 1)])
    process = start(folder)
    try:
        pending = "SELECT count(*) FROM detections WHERE state IN ('new', 'waiting for audio')"
        wait_until(lambda: query(folder, pending) == [(0,)], process)
    finally:
        process.kill()
        process.wait()
    assert reached == sorted(reached) and reached[-1] > 0
    check_complete(folder, [f"clip-{number}" for number in range(COUNT)])
    predicted = (folder / "predicted.log").read_text().splitlines()
    assert len(predicted) <= COUNT + 31 * 33  # at most one transaction is predicted again after each


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_two_seconds_and_keeps_what_is_predicted(folder, number):
    process = start(folder, delay_s=0.1, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: len((folder / "predicted.log").read_text().splitlines()) > 2
               if (folder / "predicted.log").exists() else False, process)  # fmt: skip
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(5) == 0 and time.monotonic() - began < 2
    assert json.loads(process.stdout.read()) == "stopped"
    predicted = len((folder / "predicted.log").read_text().splitlines())
    failed = query(folder, "SELECT count(*) FROM detections WHERE state = 'failed'")[0][0]
    stored = query(folder, "SELECT count(*) FROM results")[0][0] + failed
    assert predicted - 1 <= stored <= predicted
    assert json.loads((folder / "d.db.health.json").read_text())["status"] == "stopped"


@pytest.mark.slow
def test_a_full_disk_is_waited_for(folder):
    """With a limit of the file size, as `ulimit -f` sets it, that is raised later."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))

    process = start(folder, preexec_fn=limit, stderr=subprocess.PIPE, text=True)
    try:
        health = folder / "d.db.health.json"
        wait_until(lambda: "is full" in json.loads(health.read_text())["status"] if health.exists() else False, process)
        time.sleep(2)
        before = query(folder, "SELECT count(*) FROM results")[0][0] if (folder / "d.db").exists() else 0
        assert before < COUNT * 0.9
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        pending = "SELECT count(*) FROM detections WHERE state IN ('new', 'waiting for audio')"
        wait_until(lambda: query(folder, "SELECT count(*) FROM detections") == [(COUNT,)]
                   and query(folder, pending) == [(0,)], process)  # fmt: skip
    finally:
        process.terminate()
        _, printed = process.communicate(timeout=10)
    check_complete(folder, [f"clip-{number}" for number in range(COUNT)])
    assert printed.count("is full") <= 2, printed


@pytest.mark.slow
def test_once_after_kills_ends_by_itself_and_a_copy_of_the_database_continues(folder):
    process = start(folder, delay_s=0.01)
    time.sleep(1)
    process.kill()
    process.wait()
    for suffix in ("", "-wal"):
        if (folder / f"d.db{suffix}").exists():
            shutil.copyfile(folder / f"d.db{suffix}", folder / f"copy.db{suffix}")
    assert start(folder, "once", database="copy.db").wait(120) == 0
    pending = query(folder, "SELECT key, reason FROM detections WHERE state IN ('new', 'waiting for audio')", "copy.db")
    assert len(pending) <= 1  # the detection in work waits for a moment
    assert start(folder, "once").wait(120) == 0


def test_a_second_instance_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "d.db"
    with (
        InstanceLock(path),
        pytest.raises(
            AnotherInstanceError, match=rf"runs already for .*d\.db \(process {os.getpid()}\); stop that one"
        ),
        InstanceLock(path),
    ):
        pass
    (tmp_path / "link.db").symlink_to(path)
    with InstanceLock(path), pytest.raises(AnotherInstanceError), InstanceLock(tmp_path / "link.db"):
        pass
    with InstanceLock(path) as lock, InstanceLock(tmp_path / "other.db"):
        assert lock.left_over is None


def test_the_detection_in_work_is_known_after_a_crash(tmp_path):
    code = (
        "import os, sys, pathlib; from birdnet_nl.stations.instance_lock import InstanceLock;"
        "lock = InstanceLock(pathlib.Path(sys.argv[1])).__enter__();"
        "lock.note(123456789); lock.note(42); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "d.db")], check=False, cwd=HERE.parents[1])
    with InstanceLock(tmp_path / "d.db") as lock:
        assert lock.left_over == 42
    with InstanceLock(tmp_path / "d.db") as lock:
        assert lock.left_over is None


def is_given_up(folder):
    with contextlib.suppress(sqlite3.Error):  # no database, or no tables yet
        return query(folder, CRASHED) == [(3,)]
    return False


@pytest.mark.slow
def test_a_clip_that_crashes_the_program_is_given_up(folder):
    """The fake model kills its process for a clip of that name; a supervisor starts it again."""
    write_file(folder / "station.json", [detection(1), detection(2, clip="killer.wav"), detection(3)])
    shutil.copy(folder / "clips" / "2.wav", folder / "clips" / "killer.wav")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        process = start(folder)
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
            if is_given_up(folder):
                end = 0
        process.kill()
        process.wait()
    states = dict(query(folder, "SELECT key, state FROM detections"))
    assert states == {"clip-1": State.DONE, "clip-2": State.FAILED, "clip-3": State.DONE}
    ((reason,),) = query(folder, "SELECT reason FROM detections WHERE key = 'clip-2'")
    assert reason == "the program ended while it was predicted (3 times)"
