"""`birdnet-nl prune` and the table of disk usage as a user sees them."""

import os
import time

import pytest


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


@pytest.fixture
def prune(cli, folders):
    return lambda *words: cli("prune", *words, "--logs", folders / "logs", "--cache", folders / "cache").output


def test_files_are_listed_first_and_removed_with_yes(prune, folders):
    output = prune()
    assert "2.0" in output and "nothing removed yet" in output
    assert (folders / "cache/mel/abc/old.npy").is_file()
    assert "removed: 2.0 MB" in prune("--yes")
    assert not (folders / "cache/mel/abc/old.npy").exists() and (folders / "cache/mel/abc/new.npy").is_file()
    assert "nothing to remove; --runs includes finished runs" in prune()
    assert (folders / "logs/fast/merel/a/checkpoints/last.ckpt").is_file()
    assert "removed: 0.5 MB" in prune("--runs", "--yes")


@pytest.mark.parametrize("words", [("--older-than", "soon"), ("--older-than", "30"), ("--cache-size", "5 apples")])
def test_an_invalid_quantity_is_one_sentence(refuses, words):
    refuses(f"{words[0]}={words[1]} is not a valid quantity; write ", "prune", *words)


def test_the_disk_usage_adds_up(cli, folders):
    words = ["status", folders / "logs", "--disk", "--cache", folders / "cache", "--models", folders / "models"]
    screen = cli(*words).output
    assert "1 run (1 finished), 1.5 MB each on average" in screen and "GB free" in screen
    (total,) = [line for line in screen.splitlines() if "all" in line and "4.5" in line]
    assert "3.5" in total
    assert '"bytes_per_run": 1500000' in cli(*words, "--json").output
