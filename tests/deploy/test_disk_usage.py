"""Every byte is counted once, under the kind a person knows."""

import os
import shutil

from birdnet_nl.deploy.disk_usage import files_below, measure_disk


def sums(report):
    return {(usage.place, usage.kind): usage.bytes for usage in report.usages}


def test_runs_caches_and_models_are_added_up_by_kind(make_run_files, write_file, tmp_path):
    make_run_files(tmp_path / "logs/fast/koolmees/a")
    make_run_files(tmp_path / "logs/fast/merel/a", finished=False)
    write_file(tmp_path / "cache/mel/abc/1.npy", 300)
    write_file(tmp_path / "cache/demo/xeno-canto-merel/song/XC1.mp3", 200)
    write_file(tmp_path / "models/2026Q4/koolmees/best.ckpt", 50)
    report = measure_disk(tmp_path / "logs", tmp_path / "cache", tmp_path / "models")
    found = sums(report)
    assert found["runs, finished", "checkpoints to resume"] == 5000
    assert found["runs, unfinished", "networks"] == 2000
    assert found["runs, finished", "pictures"] == 800 + 500 + 70
    assert found["runs, finished", "TensorBoard"] == 900 and found["runs, finished", "reports"] == 110
    assert found["cache", "mel"] == 300 and found["cache", "demo"] == 200 and found["models", "2026Q4"] == 50
    assert (report.runs, report.finished, report.per_run) == (2, 1, (2 * 9280 + 100) / 2)
    assert report.largest[0] == (tmp_path / "logs/fast/koolmees/a", 9380)


def test_only_what_can_be_made_again_could_go(make_run_files, write_file, tmp_path):
    make_run_files(tmp_path / "logs/a")
    make_run_files(tmp_path / "logs/b", finished=False)
    write_file(tmp_path / "cache/mel/abc/1.npy", 300)
    write_file(tmp_path / "models/2026Q4/koolmees/best.ckpt", 50)
    report = measure_disk(tmp_path / "logs", tmp_path / "cache", tmp_path / "models")
    removable = {(usage.place, usage.kind): usage.removable for usage in report.usages if usage.removable}
    assert removable == {
        ("runs, finished", "checkpoints to resume"): 5000,
        ("runs, finished", "pictures"): 1300,
        ("cache", "mel"): 300,
    }


def test_a_model_of_two_versions_counts_once(write_file, tmp_path):
    first = write_file(tmp_path / "models/1/koolmees/best.ckpt", 50)
    (tmp_path / "models/2/koolmees").mkdir(parents=True)
    os.link(first, tmp_path / "models/2/koolmees/best.ckpt")
    report = measure_disk(tmp_path / "logs", tmp_path / "cache", tmp_path / "models")
    assert sum(usage.bytes for usage in report.usages) == 50


def test_folders_that_are_not_there_are_empty(tmp_path):
    report = measure_disk(tmp_path / "logs", tmp_path / "cache", tmp_path / "models")
    assert (report.usages, report.runs, report.per_run) == ((), 0, 0.0) and report.free > 0


def test_a_folder_that_goes_while_it_is_counted_is_no_error(write_file, tmp_path):
    for number in range(3):
        write_file(tmp_path / f"demo/xeno-canto-merel/{number}/XC1.mp3", 200)
    found = files_below(tmp_path)
    assert next(found).name == "XC1.mp3"
    shutil.rmtree(tmp_path / "demo")
    assert list(found) == []
