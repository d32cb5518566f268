"""Disk usage is counted once and by kind; only long unused files are removed, never those that a process may need."""

import os
import shutil
import time

import pytest

from birdnet_nl.deploy import prune
from birdnet_nl.deploy.prune import (
    DAY_S,
    files_below,
    last_used,
    measure_disk,
    removable_caches,
    removable_run_files,
    remove,
)


@pytest.fixture
def write_file():
    """Writes a file of `size` bytes, last used `days_ago`."""

    def write(path, size=1000, days_ago=0.0):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        os.utime(path, (time.time() - days_ago * DAY_S,) * 2)
        return path

    return write


@pytest.fixture
def make_run_files(write_file):
    """Writes the files of a run, finished or not."""

    def make(folder, finished=True):
        for name, size in (
            ("config.yaml", 10), ("checkpoints/best.ckpt", 2000), ("checkpoints/last.ckpt", 5000),
            ("examples.png", 800), ("errors.png", 500), ("curves.png", 70), ("events.out.tfevents.1.vm.2.0", 900),
        ):  # fmt: skip
            write_file(folder / name, size)
        if finished:
            write_file(folder / "metrics.json", 100)
        return folder

    return make


@pytest.fixture
def cache(write_file, tmp_path):
    """Three mels and two species of demo recordings, used 40, 10 and 0.5 days ago."""
    cache = tmp_path / "cache"
    for name, days_ago in (("old", 40), ("middle", 10), ("new", 0.5)):
        write_file(cache / f"mel/abc/{name}.npy", 1000, days_ago)
    for name, days_ago in (("merel", 40), ("vink", 0.5)):
        write_file(cache / f"demo/xeno-canto-{name}/song/XC1.mp3", 2000, 40)
        write_file(cache / f"demo/xeno-canto-{name}/demo.json", 10, days_ago)
    return cache


def names(items):
    return [item.path.name for item in items]


def measured(tmp_path):
    return measure_disk(tmp_path / "logs", tmp_path / "cache", tmp_path / "models")


def test_usage_is_summed_by_kind_with_its_removable_part(make_run_files, write_file, tmp_path):
    make_run_files(tmp_path / "logs/fast/koolmees/a")
    make_run_files(tmp_path / "logs/fast/merel/a", finished=False)
    write_file(tmp_path / "cache/mel/abc/1.npy", 300)
    write_file(tmp_path / "cache/demo/xeno-canto-merel/song/XC1.mp3", 200)
    write_file(tmp_path / "models/2026Q4/koolmees/best.ckpt", 50)
    report = measured(tmp_path)
    sums = {(usage.place, usage.kind): (usage.bytes, usage.removable) for usage in report.usages}
    assert sums["runs, finished", "checkpoints to resume"] == (5000, 5000)
    assert sums["runs, unfinished", "checkpoints to resume"] == (5000, 0)
    assert sums["runs, unfinished", "networks"] == (2000, 0)
    assert sums["runs, finished", "pictures"] == (800 + 500 + 70, 800 + 500)
    assert sums["runs, finished", "TensorBoard"] == (900, 0) and sums["runs, finished", "reports"] == (110, 0)
    assert sums["cache", "mel"] == (300, 300) and sums["cache", "demo"] == (200, 200)
    assert sums["models", "2026Q4"] == (50, 0)
    assert (report.runs, report.finished, report.bytes_per_run) == (2, 1, (2 * 9280 + 100) / 2)
    assert report.largest[0] == (tmp_path / "logs/fast/koolmees/a", 9380)


def test_a_model_of_two_versions_counts_once(write_file, tmp_path):
    first = write_file(tmp_path / "models/1/koolmees/best.ckpt", 50)
    (tmp_path / "models/2/koolmees").mkdir(parents=True)
    os.link(first, tmp_path / "models/2/koolmees/best.ckpt")
    assert sum(usage.bytes for usage in measured(tmp_path).usages) == 50


def test_missing_folders_are_empty(tmp_path):
    report = measured(tmp_path)
    assert (report.usages, report.runs, report.bytes_per_run) == ((), 0, 0.0) and report.free > 0


def test_a_folder_removed_while_it_is_counted_is_no_error(write_file, tmp_path):
    for number in range(3):
        write_file(tmp_path / f"demo/xeno-canto-merel/{number}/XC1.mp3", 200)
    files = files_below(tmp_path)
    assert next(files).name == "XC1.mp3"
    shutil.rmtree(tmp_path / "demo")
    assert list(files) == []


def test_by_age_the_longest_unused_are_removed_and_a_species_as_a_whole(cache):
    items = removable_caches(cache, 30 * DAY_S, None, time.time())
    assert sorted(names(items)) == ["old.npy", "xeno-canto-merel"]
    assert remove(items) == (1000 + 2010, [])
    assert sorted(path.name for path in (cache / "mel/abc").iterdir()) == ["middle.npy", "new.npy"]
    assert [path.name for path in (cache / "demo").iterdir()] == ["xeno-canto-vink"]


def test_by_size_the_oldest_are_removed_until_the_rest_fits(cache):
    assert sorted(names(removable_caches(cache, None, 5500, time.time()))) == ["old.npy", "xeno-canto-merel"]
    assert names(removable_caches(cache, None, 4005, time.time()))[-1] == "middle.npy"
    assert removable_caches(cache, None, 10_000, time.time()) == []


def test_files_used_within_the_last_day_stay(cache):
    items = removable_caches(cache, 0.0, 0, time.time())
    assert "new.npy" not in names(items) and "xeno-canto-vink" not in names(items) and len(items) == 3


def test_reading_counts_as_use(cache):
    old = cache / "mel/abc/old.npy"
    os.utime(old, (time.time(), old.stat().st_mtime))
    assert "old.npy" not in names(removable_caches(cache, 30 * DAY_S, None, time.time()))


def test_a_folder_was_used_when_any_of_its_files_was(write_file, tmp_path):
    write_file(tmp_path / "a/1", days_ago=5)
    newest = write_file(tmp_path / "a/b/2", days_ago=2)
    assert last_used(tmp_path / "a") == pytest.approx(newest.stat().st_mtime)


def test_files_used_or_removed_between_choice_and_removal_are_skipped(cache):
    items = removable_caches(cache, 5 * DAY_S, None, time.time())
    os.utime(cache / "mel/abc/old.npy")
    (cache / "mel/abc/middle.npy").unlink()
    assert remove(items) == (2010, [])
    assert (cache / "mel/abc/old.npy").is_file()


def test_a_folder_that_a_running_job_removes_meanwhile_is_left_out(cache, monkeypatch):
    def last_used_too_late(path):
        if path.name == "xeno-canto-merel":
            shutil.rmtree(path)
        return last_used(path)

    monkeypatch.setattr(prune, "last_used", last_used_too_late)
    assert names(removable_caches(cache, 30 * DAY_S, None, time.time())) == ["old.npy"]


@pytest.mark.parametrize(
    ("file", "removed", "kind"),
    [
        ("embeddings/birdnet-1/a-merel.npy", "a-merel.npy", "embeddings"),
        ("features/birdnet-1/a-merel.npy", "a-merel.npy", "embeddings"),  # as birdnet_nl 0.1 named them
        ("demo_small/xeno-canto-vink/demo.json", "xeno-canto-vink", "demo recordings"),
        ("remote/bucket-1a2b/xeno-canto-merel/song/XC1.mp3", "xeno-canto-merel", "remote recordings"),
    ],
)
def test_every_cache_is_removed_by_file_or_by_species(write_file, tmp_path, file, removed, kind):
    write_file(tmp_path / file, 100, 40)
    (item,) = removable_caches(tmp_path, 30 * DAY_S, None, time.time())
    assert (item.path.name, item.kind, item.bytes) == (removed, kind, 100)


def test_only_finished_runs_lose_their_last_checkpoint_and_large_plots(make_run_files, tmp_path):
    done, running = make_run_files(tmp_path / "logs/a"), make_run_files(tmp_path / "logs/b", finished=False)
    assert remove(removable_run_files(tmp_path / "logs")) == (5000 + 800 + 500, [])
    kept = {path.name for path in done.rglob("*") if path.is_file()}
    assert kept == {"config.yaml", "best.ckpt", "curves.png", "events.out.tfevents.1.vm.2.0", "metrics.json"}
    assert (running / "checkpoints/last.ckpt").is_file() and (running / "examples.png").is_file()
