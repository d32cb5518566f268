"""`birdnet-nl prune` and the table of what lies on disk, as a user meets them."""

import io
import os
import time

import pytest
from rich.console import Console
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.commands.disk_tables import disk_values, show_disk
from birdnet_nl.deploy.disk_usage import measure_disk


@pytest.fixture
def folders(tmp_path):
    old = tmp_path / "cache/mel/abc/old.npy"
    for path, size in ((old, 2_000_000), (tmp_path / "cache/mel/abc/new.npy", 1_000_000)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    os.utime(old, (time.time() - 40 * 24 * 3600,) * 2)
    run = tmp_path / "logs/fast/merel/a"
    (run / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "metrics.json", "checkpoints/last.ckpt"):
        (run / name).write_bytes(bytes(500_000))
    return tmp_path


def prune(folders, *words):
    places = ["--logs", str(folders / "logs"), "--cache", str(folders / "cache")]
    return CliRunner().invoke(app, ["prune", *words, *places], env={"COLUMNS": "160"})


def test_it_shows_first_and_removes_when_told(folders):
    shown = prune(folders)
    assert shown.exit_code == 0 and "2.0" in shown.output and "nothing removed yet" in shown.output
    assert (folders / "cache/mel/abc/old.npy").is_file()
    assert "removed: 2.0 MB" in prune(folders, "--yes").output
    assert not (folders / "cache/mel/abc/old.npy").exists() and (folders / "cache/mel/abc/new.npy").is_file()
    assert "nothing to remove; --runs looks at finished runs too" in prune(folders).output
    assert (folders / "logs/fast/merel/a/checkpoints/last.ckpt").is_file()
    assert "removed: 0.5 MB" in prune(folders, "--runs", "--yes").output


@pytest.mark.parametrize("words", [("--older-than", "soon"), ("--older-than", "30"), ("--cache-size", "5 apples")])
def test_what_is_not_understood_is_one_sentence(folders, words):
    done = prune(folders, *words)
    assert done.exit_code == 1 and f"{words[0]}={words[1]} is not understood; write " in done.output


def test_the_table_adds_up_and_says_what_could_go(folders):
    text = io.StringIO()
    show_disk(Console(file=text, width=120), folders / "logs", folders / "cache", folders / "models")
    screen = text.getvalue()
    assert "1 runs (1 finished), 1.5 MB each on average" in screen and "GB free" in screen
    (last,) = [line for line in screen.splitlines() if "all" in line and "4.5" in line]
    assert "3.5" in last
    values = disk_values(measure_disk(folders / "logs", folders / "cache", folders / "models"))
    assert sum(usage["bytes"] for usage in values["usages"]) == 4_500_000 and values["bytes_per_run"] == 1_500_000
