"""Folders of runs and caches with files of known size and age."""

import os
import time

import pytest

DAY_S = 24 * 3600.0


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
