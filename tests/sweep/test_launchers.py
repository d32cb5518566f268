import sys
from types import SimpleNamespace

import joblib
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobStatus
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

from birdnet_nl.sweep.launchers import count_parallel_jobs, prints_failures
from birdnet_nl.util.conf_values import conf_dir
from birdnet_nl.util.errors import SetupError
from birdnet_nl.util.failure import explain
from hydra_plugins.birdnet_nl_ray.launcher import RayLauncher, _result_of, job_names
from hydra_plugins.birdnet_nl_submitit.results import all_results

CORES = joblib.cpu_count()


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("basic", [({}, 1, True)]),
        ("joblib", [({}, CORES, False), ({"n_jobs": 3}, 3, False), ({"n_jobs": 1}, 1, True)]),
        ("ray", [({}, CORES, True), ({"workers": 3}, 3, True)]),
        ("slurm", [({}, 128, False)]),
        ("submitit_local", [({}, 7, False)]),
    ],
)
def test_properties_of_launchers_are_known(name, cases):
    if name in ("slurm", "submitit_local"):
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        hydra = compose("train", ["species=merel", f"launcher={name}"], return_hydra_config=True).hydra
    for values, parallel_jobs, prints in cases:
        launcher = OmegaConf.merge(hydra.launcher, values)
        assert (count_parallel_jobs(launcher, jobs=7), prints_failures(launcher)) == (parallel_jobs, prints)


def test_a_submitit_job_without_a_result_fails_alone(monkeypatch):
    core = pytest.importorskip("submitit.core.core")
    from submitit.core.utils import UncompletedJobError

    def died(job):
        raise UncompletedJobError("Job 7 has not produced any output (state: OUT_OF_MEMORY)")

    monkeypatch.setattr(core.Job, "results", died)
    with all_results(SimpleNamespace(_EXECUTOR="slurm")):
        (result,) = core.Job.results(None)
    assert result.status == JobStatus.FAILED and "OUT_OF_MEMORY" in str(result._return_value)
    with all_results(SimpleNamespace()), pytest.raises(UncompletedJobError):  # another launcher
        core.Job.results(None)


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


def test_a_worker_that_dies_fails_its_own_job_only():
    ray = pytest.importorskip("ray")

    def get(job):
        raise ray.exceptions.WorkerCrashedError

    died = _result_of(SimpleNamespace(get=get, exceptions=ray.exceptions), None, ["species=merel"])
    assert died.status == JobStatus.FAILED and "species=merel: its worker died" in str(died._return_value)


def test_jobs_are_named_by_the_overrides_that_differ():
    assert job_names([["species=merel", "seed=1"], ["species=vink", "seed=1"]]) == ["species=merel", "species=vink"]
    assert job_names([["species=merel", "seed=1"]]) == ["species=merel seed=1"]
