"""Jobs in other processes train the same networks as jobs one after the other: identical metrics."""

import json
import os
import sys

import pytest
from hydra.core.utils import JobStatus
from hydra.errors import MissingConfigException

from birdnet_nl.util.errors import SetupError
from birdnet_nl.util.failure import explain
from hydra_plugins.birdnet_nl_ray.launcher import RayLauncher, _result_of
from hydra_plugins.birdnet_nl_ray.progress import job_names

SWEEP = ("-m", "species=koolmees,merel", "trainer=fast", "trainer.max_epochs=1", "seed=3")
COMPARED = ("results", "validation", "calibration", "controls", "data_fingerprint", "test_fingerprint", "counts")


def read_reports(folder):
    """The measured part of the reports, without times and places, by species."""
    reports = [json.loads(path.read_text()) for path in folder.rglob("metrics.json")]
    return {report["species"]["slug"]: {name: report[name] for name in COMPARED} for report in reports}


@pytest.fixture(scope="module")
def serial_reports(train_py, tiny_of, tmp_path_factory):
    """The reports of the sweep in one process on one thread."""
    logs = tmp_path_factory.mktemp("serial")
    code, screen = train_py(*SWEEP, *tiny_of(logs), "engine.threads=1")
    assert code == 0, screen
    reports = read_reports(logs)
    assert set(reports) == {"koolmees", "merel"}
    return reports


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "launcher"),
    [("ray", ("launcher=ray", "hydra.launcher.workers=2")), ("submitit", ("launcher=submitit_local",))],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_processes_give_identical_metrics(serial_reports, train_py, tiny_of, tmp_path, library, launcher):
    pytest.importorskip(library)
    code, screen = train_py(*SWEEP, *tiny_of(tmp_path), *launcher, OMP_NUM_THREADS="1")
    assert code == 0, screen
    assert "Traceback" not in screen and "Warning" not in screen
    assert read_reports(tmp_path) == serial_reports


@pytest.mark.slow
def test_a_failing_job_on_ray_is_reported_in_one_sentence_and_the_others_finish(
    train_py, tiny_of, tmp_path, make_recordings_folder
):
    pytest.importorskip("ray")
    make_recordings_folder(tmp_path / "recordings", "koolmees", {"song": 6, "call": 6})
    tiny = [override for override in tiny_of(tmp_path / "logs") if override != "data=demo"]
    code, screen = train_py(
        "-m", "species=merel,koolmees", "trainer=fast", "trainer.max_epochs=1", *tiny, "launcher=ray",
        "hydra.launcher.workers=1", f"data.root={tmp_path / 'recordings'}",
    )  # fmt: skip
    assert code == 1
    assert screen.count("none of merel") == 2 and "Traceback" not in screen, screen  # when it fails, and at the end
    assert "[2/2] species=koolmees" in screen
    assert set(read_reports(tmp_path / "logs")) == {"koolmees"}


def test_an_address_without_a_cluster_is_explained(monkeypatch):
    ray = pytest.importorskip("ray")

    def refuse(**arguments):
        raise ConnectionError(f"no route to {arguments['address']}\nand many lines more")

    monkeypatch.setattr(ray, "init", refuse)
    message = r"^hydra.launcher.address=ray://head:1 does not respond \(no route to ray://head:1\)"
    with pytest.raises(SetupError, match=message):
        RayLauncher("ray://head:1", None, {}, {})._start()


def test_a_launcher_whose_extra_is_missing_is_explained_with_the_install_command(monkeypatch):
    error = MissingConfigException("In 'launcher/slurm': Could not find 'hydra/launcher/submitit_slurm'\n\nAvailable")
    assert explain(error) == 'this launcher needs submitit_slurm, which is not installed: pip install -e ".[slurm]"'
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SetupError, match=r'pip install -e "\.\[ray\]"'):
        RayLauncher(None, None, {}, {})._start()


@pytest.mark.slow
def test_a_worker_that_dies_fails_its_own_job_only():
    ray = pytest.importorskip("ray")
    RayLauncher(None, 1, {}, {})._start()
    try:
        die, live = ray.remote(max_retries=0)(lambda: os._exit(9)), ray.remote(lambda: 5)
        died = _result_of(ray, die.remote(), ["species=merel"])
        assert died.status == JobStatus.FAILED and "species=merel: its worker died" in str(died._return_value)
        assert ray.get(live.remote()) == 5
    finally:
        ray.shutdown()


def test_jobs_are_named_by_the_overrides_that_differ():
    assert job_names([["species=merel", "seed=1"], ["species=vink", "seed=1"]]) == ["species=merel", "species=vink"]
    assert job_names([["species=merel", "seed=1"]]) == ["species=merel seed=1"]
