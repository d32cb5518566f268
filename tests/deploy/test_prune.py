"""Only what was not used for long goes, and never what a process at work may need."""

import os
import shutil
import time

import pytest
from birdnet_nl.disk import pruning

from birdnet_nl.deploy.prune import DAY_S, last_used, remove, spare_caches, spare_run_files


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


def names(spares):
    return [spare.path.name for spare in spares]


def test_by_age_what_was_used_longest_ago_goes_and_a_species_goes_whole(cache):
    spares = spare_caches(cache, 30 * DAY_S, None, time.time())
    assert sorted(names(spares)) == ["old.npy", "xeno-canto-merel"]
    assert remove(spares) == (1000 + 2010, [])
    assert not (cache / "demo/xeno-canto-merel").exists() and (cache / "demo/xeno-canto-vink").is_dir()
    assert sorted(path.name for path in (cache / "mel/abc").iterdir()) == ["middle.npy", "new.npy"]
    assert [path.name for path in (cache / "demo").iterdir()] == ["xeno-canto-vink"]


def test_by_size_the_oldest_go_until_it_fits(cache):
    assert sorted(names(spare_caches(cache, None, 5500, time.time()))) == ["old.npy", "xeno-canto-merel"]
    assert names(spare_caches(cache, None, 4005, time.time()))[-1] == "middle.npy"
    assert spare_caches(cache, None, 10_000, time.time()) == []


def test_nothing_used_in_the_last_day_goes_whatever_is_asked(cache):
    spares = spare_caches(cache, 0.0, 0, time.time())
    assert "new.npy" not in names(spares) and "xeno-canto-vink" not in names(spares) and len(spares) == 3


def test_reading_counts_as_use(cache):
    old = cache / "mel/abc/old.npy"
    os.utime(old, (time.time(), old.stat().st_mtime))
    assert "old.npy" not in names(spare_caches(cache, 30 * DAY_S, None, time.time()))


def test_what_was_used_between_the_choice_and_the_removal_stays(cache):
    spares = spare_caches(cache, 30 * DAY_S, None, time.time())
    os.utime(cache / "mel/abc/old.npy")
    assert remove(spares)[0] == 2010
    assert (cache / "mel/abc/old.npy").is_file()


def test_remote_recordings_go_by_species(write_file, tmp_path):
    write_file(tmp_path / "cache/remote/bucket-1a2b/xeno-canto-merel/song/XC1.mp3", 100, 40)
    (spare,) = spare_caches(tmp_path / "cache", 30 * DAY_S, None, time.time())
    assert (spare.path.name, spare.kind, spare.bytes) == ("xeno-canto-merel", "remote recordings", 100)


def test_of_runs_only_finished_ones_give_up_what_they_no_longer_need(make_run_files, tmp_path):
    done, running = make_run_files(tmp_path / "logs/a"), make_run_files(tmp_path / "logs/b", finished=False)
    freed, failed = remove(spare_run_files(tmp_path / "logs"))
    assert (freed, failed) == (5000 + 800 + 500, [])
    left = {path.name for path in done.rglob("*") if path.is_file()}
    assert left == {"config.yaml", "best.ckpt", "curves.png", "events.out.tfevents.1.vm.2.0", "metrics.json"}
    assert (running / "checkpoints/last.ckpt").is_file() and (running / "examples.png").is_file()


def test_what_somebody_else_removed_is_no_error(cache):
    spares = spare_caches(cache, 30 * DAY_S, None, time.time())
    (cache / "mel/abc/old.npy").unlink()
    assert remove(spares) == (2010, [])


def test_a_folder_was_used_when_any_of_its_files_was(write_file, tmp_path):
    write_file(tmp_path / "a/1", days_ago=5)
    newest = write_file(tmp_path / "a/b/2", days_ago=2)
    assert last_used(tmp_path / "a") == pytest.approx(newest.stat().st_mtime)


def test_features_go_one_by_one_and_small_demo_recordings_by_species(write_file, tmp_path):
    write_file(tmp_path / "features/birdnet-1/a-merel.npy", 1000, 40)
    write_file(tmp_path / "features/birdnet-1/b-merel.npy", 1000, 5)
    write_file(tmp_path / "demo_small/xeno-canto-vink/demo.json", 10, 40)
    spares = spare_caches(tmp_path, 30 * DAY_S, None, time.time())
    assert {(spare.path.name, spare.kind) for spare in spares} == {
        ("a-merel.npy", "features"),
        ("xeno-canto-vink", "demo recordings"),
    }


def test_what_a_run_at_work_takes_away_meanwhile_is_left_out(cache, monkeypatch):
    real = pruning.last_used

    def last_used_too_late(path):
        if path.name == "xeno-canto-merel":
            shutil.rmtree(path)
        return real(path)

    monkeypatch.setattr(pruning, "last_used", last_used_too_late)
    assert names(spare_caches(cache, 30 * DAY_S, None, time.time())) == ["old.npy"]
