"""Waiting for changes of a database's files, with inotify and without, whatever happens to their folder."""

import errno
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from birdnet_nl.stations import files_changed, inotify
from birdnet_nl.stations.files_changed import FilesChanged, explain, remote_file_system


@pytest.fixture(autouse=True)
def logged(caplog):
    caplog.set_level("INFO", "birdnet_nl")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "folder" / "birds.db"
    path.parent.mkdir()
    path.write_bytes(b"1")
    return path


@pytest.fixture(params=["inotify", "slow"])
def changed(request, file, monkeypatch):
    """In the way of the parameter; both find the same changes."""
    if request.param == "slow":
        monkeypatch.setattr(files_changed, "remote_file_system", lambda folder: "nfs4")
        monkeypatch.setattr(files_changed, "SLOW_S", 0.05)
    waiting = FilesChanged(file)
    waiting.wait(0)
    yield waiting
    waiting.close()


def later(action, seconds: float = 0.1) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_a_change_ends_the_wait_soon(changed, file):
    for content in (b"22", b"333"):
        timer, start = later(lambda content=content: file.write_bytes(content)), time.monotonic()
        assert changed.wait(20)
        assert time.monotonic() - start < 3
        timer.join()
    changed.wait(0.1)  # a look may come between emptying and writing
    assert not changed.wait(0.1)


def test_a_change_between_two_waits_is_noticed(changed, file):
    file.write_bytes(b"22")
    assert changed.wait(5)


def test_other_files_do_not_end_the_wait(changed, file):
    (file.parent / "other.txt").write_text("x")
    (file.parent / "birds.db.bak").write_text("x")
    assert not changed.wait(0.2)


def test_a_file_that_takes_its_place_and_one_that_returns_are_noticed(changed, file):
    other = file.with_name("new")
    other.write_bytes(b"1")
    other.replace(file)
    assert changed.wait(5)
    file.unlink()
    assert changed.wait(5)
    file.write_bytes(b"1")
    assert changed.wait(5)


def test_a_folder_that_is_moved_away_and_comes_back_is_watched_again(changed, file, monkeypatch):
    monkeypatch.setattr(files_changed, "SLOW_S", 0.05)
    moved = file.parent.with_name("moved")
    file.parent.rename(moved)
    assert changed.wait(5)
    assert not changed.wait(0.2)
    moved.rename(file.parent)
    assert changed.wait(5)
    changed.wait(0.1)
    file.write_bytes(b"333")
    assert changed.wait(5)


def test_wake_ends_the_wait_without_a_change(changed):
    timer, start = later(changed.wake), time.monotonic()
    assert not changed.wait(20)
    assert time.monotonic() - start < 5
    timer.join()


def test_wake_before_the_wait_counts_and_once_only(changed):
    for _ in range(100_000 // 64):
        changed.wake()
    start = time.monotonic()
    assert not changed.wait(20) and time.monotonic() - start < 5
    start = time.monotonic()
    assert not changed.wait(0.1) and time.monotonic() - start >= 0.09


def test_wake_may_be_called_by_a_signal_handler(changed):
    before = signal.signal(signal.SIGUSR1, lambda number, frame: changed.wake())
    try:
        timer = later(lambda: os.kill(os.getpid(), signal.SIGUSR1))
        start = time.monotonic()
        assert not changed.wait(20) and time.monotonic() - start < 5
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_burst_of_commits_is_one_change(changed, file):
    def write():
        for number in range(20):
            file.write_bytes(b"x" * number)
            time.sleep(0.005)

    timer = later(write)
    assert changed.wait(5)
    timer.join()
    changed.wait(0.2)
    assert not changed.wait(0.1)


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "fs.inotify.max_user_watches"), (errno.EMFILE, "fs.inotify.max_user_instances")],
)
def test_a_limit_is_logged_once_with_what_to_do_and_the_file_is_looked_at(file, monkeypatch, caplog, number, advice):
    def refuse(self, folder, mask):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(inotify.Inotify, "add", refuse)
    monkeypatch.setattr(files_changed, "SLOW_S", 0.02)
    waiting = FilesChanged(file)
    for content in (b"22", b"333"):
        timer = later(lambda content=content: file.write_bytes(content), 0.05)
        assert waiting.wait(5)
        timer.join()
    waiting.close()
    assert caplog.text.count(advice) == 1
    assert advice in explain(OSError(number, ""))


def test_network_shares_are_recognised(tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    lines = [
        "/dev/sda1 / ext4 rw 0 0",
        f"nas:/x {tmp_path}/nas\\040disk nfs4 rw 0 0",
        f"y {tmp_path}/usb fuse.sshfs rw",
    ]
    mounts.write_text("\n".join([*lines, f"z {tmp_path}/usb/local ext4 rw", "broken"]))
    monkeypatch.setattr(files_changed, "MOUNTS", mounts)
    assert remote_file_system(tmp_path / "nas disk" / "a" / "b") == "nfs4"
    assert remote_file_system(tmp_path / "usb") == "fuse.sshfs"
    assert remote_file_system(tmp_path / "usb" / "local" / "a") == "" == remote_file_system(tmp_path / "nas diskette")
    monkeypatch.setattr(files_changed, "MOUNTS", tmp_path / "missing")
    assert remote_file_system(tmp_path) == ""


def test_a_link_is_followed_to_the_folder_of_the_file(file, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(file)
    waiting = FilesChanged(link)
    waiting.wait(0)
    timer, start = later(lambda: file.with_name("birds.db-wal").write_bytes(b"1")), time.monotonic()
    assert waiting.wait(20) and time.monotonic() - start < 5
    timer.join()
    other = tmp_path / "other.db"
    other.write_bytes(b"22")
    link.unlink()
    link.symlink_to(other)
    waiting.wake()
    assert waiting.wait(5)
    waiting.close()


def test_no_descriptor_is_left_open(file):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        waiting = FilesChanged(file)
        waiting.wait(0)
        file.parent.rename(file.parent.with_name("moved"))
        waiting.wait(0.01)
        waiting.wait(0.01)
        file.parent.with_name("moved").rename(file.parent)
        waiting.close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
