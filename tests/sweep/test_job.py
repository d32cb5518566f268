import errno
import os
import shutil
import time
from collections import namedtuple
from dataclasses import replace
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from birdnet_nl.sweep import job
from birdnet_nl.sweep.job_file import State, current_record, read_record, write_record
from birdnet_nl.sweep.processes import process_id
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import CONFIG, HEARTBEAT, read_config, write_config

OVERRIDES = ("species=merel", "trainer=turbo", "data=demo", "parameter_set=turbo")


@pytest.fixture
def cfg(compose_config):
    return compose_config(*OVERRIDES)


def test_a_job_is_running_with_a_heartbeat_and_then_done(tmp_path, cfg, finish_run, monkeypatch):
    monkeypatch.setattr(job, "HEARTBEAT_INTERVAL_S", 0.01)
    with job.record_job(tmp_path, cfg) as resumes:
        assert not resumes
        assert current_record(tmp_path).state == State.RUNNING
        deadline = time.monotonic() + 10
        while not (tmp_path / HEARTBEAT).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (tmp_path / HEARTBEAT).exists()
        finish_run(tmp_path)
    record = read_record(tmp_path)
    assert (record.state, record.attempts) == (State.DONE, 1) and record.ended >= record.started
    assert record.memory_mb > 0 and record.recordings == "demo" and len(record.configuration) == 16
    assert not (tmp_path / HEARTBEAT).exists()


@pytest.mark.parametrize(("error", "state"), [(KeyError("x"), State.FAILED), (KeyboardInterrupt(), State.CANCELLED)])
def test_the_error_that_ends_a_job_is_recorded(tmp_path, cfg, error, state):
    with pytest.raises(type(error)), job.record_job(tmp_path, cfg):
        raise error
    assert read_record(tmp_path).state == state and read_record(tmp_path).reason


def test_a_job_of_a_sweep_resumes_an_earlier_attempt(tmp_path, cfg):
    with pytest.raises(KeyError), job.record_job(tmp_path, cfg, may_resume=True):
        (tmp_path / CONFIG).write_text("half a conf")
        raise KeyError
    with job.record_job(tmp_path, cfg, may_resume=True) as resumes:
        assert resumes and "species:" in (tmp_path / CONFIG).read_text()  # complete again
    assert read_record(tmp_path).attempts == 2


def test_a_job_resumed_by_a_user_keeps_the_fingerprint_of_its_sweep(tmp_path, cfg):
    with pytest.raises(KeyboardInterrupt), job.record_job(tmp_path, cfg, may_resume=True):
        write_config(tmp_path, cfg)
        raise KeyboardInterrupt
    before, stored = read_record(tmp_path), read_config(tmp_path)
    with pytest.raises(KeyboardInterrupt), job.record_job(tmp_path, stored, resumed_from=stored) as resumes:
        assert resumes
        raise KeyboardInterrupt
    assert read_record(tmp_path).attempts == 2
    assert read_record(tmp_path).configuration == before.configuration
    longer = OmegaConf.merge(stored, {"trainer": {"max_epochs": 99}})
    with job.record_job(tmp_path, longer, resumed_from=stored):
        pass
    assert read_record(tmp_path).configuration != before.configuration


def test_another_run_in_the_directory_is_an_error_and_is_not_changed(tmp_path, cfg, compose_config):
    with pytest.raises(KeyError), job.record_job(tmp_path, cfg, may_resume=True):
        (tmp_path / CONFIG).write_text("seed: 1\n")
        raise KeyError
    before = read_record(tmp_path)
    for given, may_resume in ((compose_config(*OVERRIDES, "seed=2"), True), (cfg, False)):
        with pytest.raises(RunError, match="already holds a run"), job.record_job(tmp_path, given, may_resume):
            raise AssertionError
    assert read_record(tmp_path) == before


def test_a_run_that_another_process_is_training_is_an_error(tmp_path, cfg, running):
    parent = os.getppid()
    write_record(tmp_path, replace(running, process=process_id(parent)))
    with pytest.raises(RunError, match=f"is being trained by process {parent}"), job.record_job(tmp_path, cfg):
        raise AssertionError


def test_no_job_starts_on_a_full_disk(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 5 * 2**20))
    with pytest.raises(OSError) as caught:
        job._check_disk_space(tmp_path / "not" / "yet")
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 0, 10**12))
    job._check_disk_space(tmp_path)


def test_configurations_of_finished_jobs_are_dropped():
    result = SimpleNamespace(cfg=1, hydra_cfg=2)
    job.ForgetConfigurations().on_job_end(config=None, job_return=result)
    assert result.cfg is None and result.hydra_cfg is None
