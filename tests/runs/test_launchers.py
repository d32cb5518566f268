"""Jobs in other processes train the same network as a job in this one, and a failing job stops no other."""

import json

import pytest

COMPARED = ("results", "validation", "calibration", "controls", "data_fingerprint", "test_fingerprint", "counts")
PLAIN = "evaluation.plots=false"
SWEEP = ("species=koolmees", "data.max_segments_per_type=0,null", "trainer.max_epochs=1", "seed=3", PLAIN)
SENTENCE = "data.max_segments_per_type=0 leaves nothing to train on"  # the error of the first job


def read_report(folder) -> dict:
    """The measured part of the only report, without times and places."""
    (path,) = folder.rglob("metrics.json")
    report = json.loads(path.read_text())
    return {name: report[name] for name in COMPARED}


@pytest.fixture(scope="module")
def serial_report(train_in_process, tmp_path_factory) -> dict:
    """The report of the second job in this process, on one thread."""
    folder = tmp_path_factory.mktemp("serial")
    train_in_process(folder / "run", "species=koolmees", "trainer.max_epochs=1", "seed=3", "engine.threads=1", PLAIN)
    return read_report(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "launcher"),
    [("ray", ("launcher=ray", "hydra.launcher.workers=1")), ("submitit", ("launcher=submitit_local",))],
    ids=["ray", "submitit"],
)
def test_other_processes_give_identical_metrics(serial_report, train_py, tiny_of, tmp_path, library, launcher):
    pytest.importorskip(library)
    code, screen = train_py("-m", *tiny_of(tmp_path / library), *SWEEP, *launcher, OMP_NUM_THREADS="1")
    assert code == 1 and SENTENCE in screen and "1 job of the sweep failed" in screen, screen
    assert "Traceback" not in screen and "Warning" not in screen
    if library == "ray":
        assert "[2/2] " in screen and ": validation " in screen
    assert read_report(tmp_path / library) == serial_report
