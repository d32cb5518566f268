import os

import pytest

from birdnet_nl.sweep.arguments import known_sweep, prepare_sweep
from birdnet_nl.sweep.job import LAUNCHER
from birdnet_nl.util.errors import RunError, SelectionError


def test_other_arguments_stay_as_they_are():
    arguments = ["-m", "species=all", "trainer=turbo"]
    assert known_sweep(arguments) == arguments
    assert known_sweep(["species=merel", "seed=2"]) == ["species=merel", "seed=2"]


def test_plan_asks_for_a_sweep_that_starts_nothing():
    assert known_sweep(["-m", "species=all", "--plan"]) == ["-m", "species=all", "sweep.plan=true"]
    assert known_sweep(["species=merel", "--plan"])[0] == "-m"


def test_sweep_resume_is_looked_up_by_the_jobs():
    assert known_sweep(["-m", "species=all", "sweep=resume"]) == ["-m", "species=all", "sweep.folder='resume'"]


def test_a_sweep_alone_goes_on_with_its_own_arguments(make_sweep, make_job):
    sweep = make_sweep({make_job("merel"): None})
    asked = known_sweep([f"sweep={sweep.folder}", "trainer=fast"])
    assert asked == ["-m", "species=all", "trainer=fast", f"sweep.folder='{sweep.folder}'"]
    logs = f"paths.logs={sweep.folder.parent}"
    assert known_sweep(["sweep=resume", logs])[:3] == ["-m", "species=all", "trainer=turbo"]


def test_what_is_no_sweep_is_told(tmp_path):
    with pytest.raises(SelectionError, match=r"sweep=.*nowhere is not a folder; give sweep=resume"):
        known_sweep([f"sweep={tmp_path / 'nowhere'}"])
    with pytest.raises(RunError, match=r"holds no sweep\.json"):
        known_sweep([f"sweep={tmp_path}"])
    with pytest.raises(RunError, match="there is no sweep in"):
        known_sweep(["sweep=resume", f"paths.logs={tmp_path}"])


def test_our_sweeper_is_taken_unless_another_is_named(monkeypatch):
    monkeypatch.delenv(LAUNCHER, raising=False)
    assert prepare_sweep(["species=merel"]) == ["species=merel"]
    assert LAUNCHER not in os.environ
    assert prepare_sweep(["-m", "species=merel"])[-1] == "hydra/sweeper=resumable"
    assert os.environ[LAUNCHER] == str(os.getpid())
    for other in ("sweeper=optuna", "hydra/sweeper=optuna"):
        assert prepare_sweep(["-m", other]) == ["-m", other]
    monkeypatch.delenv(LAUNCHER)
