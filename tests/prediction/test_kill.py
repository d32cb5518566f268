"""Jobs that are killed, and jobs that share an output folder."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

JOB = Path(__file__).with_name("job_process.py")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory, write_sound):
    """500 short recordings, of which two cannot be read."""
    folder = tmp_path_factory.mktemp("recordings")
    first = write_sound(folder / "0" / "0.wav", ("song", 1)).read_bytes()
    for number in range(500):
        path = folder / f"{number % 10}" / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(first if number % 250 else b"RIFF")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory, write_model):
    return write_model(tmp_path_factory.mktemp("model") / "k.fake", "koolmees")


def start(recordings, model, out, *workers, delay_s=0.0):
    words = [sys.executable, JOB, recordings, model, out, *workers]
    paths = f"{JOB.parent}{os.pathsep}{JOB.parents[2]}"
    env = os.environ | {"FAKE_MODEL_DELAY": str(delay_s), "PYTHONPATH": paths, "FAKE_MODEL_LOG": f"{out}.log"}
    return subprocess.Popen([str(word) for word in words], env=env)


def content(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and ".birdnet_nl" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def undisturbed(recordings, model, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert start(recordings, model, out).wait() == 0
    return content(out)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_is_killed_twenty_times_ends_like_one_that_is_not(recordings, model, undisturbed, tmp_path, workers):
    out, rng = tmp_path / "out", random.Random(workers)
    reached = []
    for _ in range(20):
        process = start(recordings, model, out, workers, delay_s=0.03 * workers)
        time.sleep(rng.uniform(0.4, 1.0) + 0.4 * (workers - 1))
        assert process.poll() is None
        process.kill()
        process.wait()
        reached.append(len(list((out / ".birdnet_nl" / "predictions").rglob("*.prediction"))))
    assert start(recordings, model, out, workers).wait() == 0
    assert content(out) == undisturbed
    assert reached == sorted(reached) and 0 < reached[-1] < 498
    predicted = [line for line in Path(f"{out}.log").read_text().splitlines() if line]
    assert len(predicted) < 498 + 25 * 20  # only what was under way is predicted twice


def test_two_processes_on_one_folder_end_like_one(recordings, model, undisturbed, tmp_path):
    processes = [start(recordings, model, tmp_path / "out") for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert content(tmp_path / "out") == undisturbed
