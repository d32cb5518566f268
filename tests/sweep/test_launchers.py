from types import SimpleNamespace

import joblib
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobStatus

from birdnet_nl.sweep.launchers import at_a_time, tells_of_jobs
from hydra_plugins.birdnet_nl_submitit.answers import all_answers

CORES = joblib.cpu_count()


@pytest.fixture
def launcher_of(train_script):
    """The block `hydra.launcher` that some overrides compose."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(train_script.CONFIG_DIR), version_base="1.3"):

        def launcher(*overrides: str):
            return compose("train", ["species=merel", *overrides], return_hydra_config=True).hydra.launcher

        yield launcher


@pytest.mark.parametrize(
    ("overrides", "count", "told"),
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
def test_a_sweep_knows_how_many_jobs_run_at_a_time_and_who_tells_of_them(launcher_of, overrides, count, told):
    if "slurm" in overrides[0] or "submitit" in overrides[0]:
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    launcher = launcher_of(*overrides)
    assert (at_a_time(launcher, jobs=7), tells_of_jobs(launcher)) == (count, told)


def test_a_task_of_submitit_that_died_is_a_failure_of_its_job_alone(monkeypatch):
    core = pytest.importorskip("submitit.core.core")
    from submitit.core.utils import UncompletedJobError

    def died(job):
        raise UncompletedJobError("Job 7 has not produced any output (state: OUT_OF_MEMORY)")

    monkeypatch.setattr(core.Job, "results", died)
    with all_answers(SimpleNamespace(_EXECUTOR="slurm")):
        (answer,) = core.Job.results(None)
    assert answer.status == JobStatus.FAILED and "OUT_OF_MEMORY" in str(answer._return_value)
    with all_answers(SimpleNamespace()), pytest.raises(UncompletedJobError):  # another launcher
        core.Job.results(None)
