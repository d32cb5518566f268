import errno
import os
import shutil
import time
from collections import namedtuple
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from birdnet_nl.sweep import job
from birdnet_nl.sweep.job_file import State, read_record, true_record, write_record
from birdnet_nl.sweep.processes import ProcessMark
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import CONFIG, HEARTBEAT, read_config, write_config


@pytest.fixture
def cfg(compose_config):
    return compose_config("species=merel", "trainer=turbo", "data=demo", "parameter_set=turbo")


def test_a_job_is_running_and_then_done(tmp_path, cfg, finish, monkeypatch):
    monkeypatch.setattr(job, "BEAT_S", 0.01)
    with job.recorded(tmp_path, cfg) as goes_on:
        assert not goes_on
        assert true_record(tmp_path).state == State.RUNNING
        deadline = time.monotonic() + 10
        while not (tmp_path / HEARTBEAT).exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (tmp_path / HEARTBEAT).exists()
        finish(tmp_path)
    record = read_record(tmp_path)
    assert (record.state, record.attempts) == (State.DONE, 1) and record.ended >= record.started
    assert record.memory_mb > 0 and record.recordings == "demo" and len(record.configuration) == 16
    assert not (tmp_path / HEARTBEAT).exists()


@pytest.mark.parametrize(("error", "state"), [(KeyError("x"), State.FAILED), (KeyboardInterrupt(), State.CANCELLED)])
def test_what_ends_a_job_is_written_down(tmp_path, cfg, error, state):
    with pytest.raises(type(error)), job.recorded(tmp_path, cfg):
        raise error
    assert read_record(tmp_path).state == state and read_record(tmp_path).reason


def test_a_job_of_a_sweep_goes_on_from_what_lies_there(tmp_path, cfg):
    with pytest.raises(KeyError), job.recorded(tmp_path, cfg, may_go_on=True):
        (tmp_path / CONFIG).write_text("half a conf")
        raise KeyError
    with job.recorded(tmp_path, cfg, may_go_on=True) as goes_on:
        assert goes_on and "species:" in (tmp_path / CONFIG).read_text()  # written whole again
    assert read_record(tmp_path).attempts == 2


def test_a_job_that_a_person_resumed_stays_the_same_job_for_its_sweep(tmp_path, cfg):
    with pytest.raises(KeyboardInterrupt), job.recorded(tmp_path, cfg, may_go_on=True):
        write_config(tmp_path, cfg)
        raise KeyboardInterrupt
    before, stored = read_record(tmp_path), read_config(tmp_path)
    with pytest.raises(KeyboardInterrupt), job.recorded(tmp_path, stored, resumed_from=stored) as goes_on:
        assert goes_on
        raise KeyboardInterrupt
    assert read_record(tmp_path).attempts == 2
    assert read_record(tmp_path).configuration == before.configuration
    longer = OmegaConf.merge(stored, {"trainer": {"max_epochs": 99}})
    with job.recorded(tmp_path, longer, resumed_from=stored):
        pass
    assert read_record(tmp_path).configuration != before.configuration


def test_another_run_in_the_folder_is_refused_and_left_alone(tmp_path, cfg, compose_config):
    with pytest.raises(KeyError), job.recorded(tmp_path, cfg, may_go_on=True):
        (tmp_path / CONFIG).write_text("seed: 1\n")
        raise KeyError
    before = read_record(tmp_path)
    other = compose_config("species=merel", "trainer=turbo", "data=demo", "parameter_set=turbo", "seed=2")
    for given, may_go_on in ((other, True), (cfg, False)):
        with pytest.raises(RunError, match="already holds a run"), job.recorded(tmp_path, given, may_go_on=may_go_on):
            raise AssertionError
    assert read_record(tmp_path) == before


def test_two_processes_do_not_fight_over_a_folder(tmp_path, cfg, running):
    parent = ProcessMark(running.process.host, os.getppid(), job_start(os.getppid()))
    write_record(tmp_path, replace(running, process=parent))
    with pytest.raises(RunError, match=f"is being trained by process {os.getppid()}"), job.recorded(tmp_path, cfg):
        raise AssertionError


def job_start(pid: int) -> str:
    from birdnet_nl.sweep.processes import _mark_of

    return _mark_of(pid).started


def test_nothing_begins_on_a_full_disk(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 5 * 2**20))
    with pytest.raises(OSError) as caught:
        job._check_full_disk(tmp_path / "not" / "yet")
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 0, 10**12))
    job._check_full_disk(tmp_path)


def test_hydra_does_not_keep_configurations():
    returned = namedtuple("returned", "cfg hydra_cfg")
    kept = type("kept", (), returned(1, 2)._asdict())()
    job.ForgetConfigurations().on_job_end(config=None, job_return=kept)
    assert kept.cfg is None and kept.hydra_cfg is None
