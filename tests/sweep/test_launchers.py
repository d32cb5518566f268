from types import SimpleNamespace

import joblib
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobStatus

from birdnet_nl.sweep.launchers import count_parallel_jobs, prints_failures
from birdnet_nl.util.conf_values import conf_dir
from hydra_plugins.birdnet_nl_submitit.results import all_results

CORES = joblib.cpu_count()


@pytest.mark.parametrize(
    ("overrides", "parallel_jobs", "prints"),
    [
        (("launcher=basic",), 1, True),
        (("launcher=joblib",), CORES, False),
        (("launcher=joblib", "hydra.launcher.n_jobs=3"), 3, False),
        (("launcher=joblib", "hydra.launcher.n_jobs=1"), 1, True),
        (("launcher=ray",), CORES, True),
        (("launcher=ray", "hydra.launcher.workers=3"), 3, True),
        (("launcher=slurm",), 128, False),
        (("launcher=submitit_local",), 7, False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_properties_of_launchers_are_known(overrides, parallel_jobs, prints):
    if "slurm" in overrides[0] or "submitit" in overrides[0]:
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        launcher = compose("train", ["species=merel", *overrides], return_hydra_config=True).hydra.launcher
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
