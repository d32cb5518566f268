"""Jobs in other processes train the same network as a job in this one, and a failing job stops no other."""

import json

import pytest

from birdnet_nl.sweep.job import LAUNCHER

COMPARED = ("results", "validation", "calibration", "controls", "data_fingerprint", "test_fingerprint", "counts")
SWEEP = ("species=koolmees", "data.max_segments_per_type=0,null", "trainer.max_epochs=1", "seed=3")
SENTENCE = "data.max_segments_per_type=0 leaves nothing to train on"  # the error of the first job


def read_report(folder) -> dict:
    """The measured part of the only report, without times and places."""
    (path,) = folder.rglob("metrics.json")
    report = json.loads(path.read_text())
    return {name: report[name] for name in COMPARED}


@pytest.fixture
def serial_report(main, tiny_of, tmp_path, monkeypatch) -> dict:
    """The report of the sweep in this process, on one thread."""
    monkeypatch.setenv(LAUNCHER, "")  # set by every sweep; restored after the test
    code, screen = main("-m", *tiny_of(tmp_path / "serial"), *SWEEP, "engine.threads=1")
    assert code == 1 and screen.count(SENTENCE) == 2, screen  # when it fails, and at the end
    return read_report(tmp_path / "serial")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "launcher"),
    [("ray", ("launcher=ray", "hydra.launcher.workers=2")), ("submitit", ("launcher=submitit_local",))],
    ids=["ray", "submitit"],
)
def test_other_processes_give_identical_metrics(serial_report, train_py, tiny_of, tmp_path, library, launcher):
    pytest.importorskip(library)
    code, screen = train_py("-m", *tiny_of(tmp_path / library), *SWEEP, *launcher, OMP_NUM_THREADS="1")
    assert code == 1 and SENTENCE in screen and "1 jobs of the sweep failed" in screen, screen
    assert "Traceback" not in screen and "Warning" not in screen
    if library == "ray":
        assert "[2/2] " in screen and ": validation " in screen
    assert read_report(tmp_path / library) == serial_report
