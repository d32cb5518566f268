"""A search maximises what train returns, goes on where it was stopped, and leaves its best as a parameter set."""

import pytest
import yaml
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from birdnet_nl.util.errors import RunError, SelectionError, SetupError
from hydra_plugins.birdnet_nl_search import sweeper as sweeper_module
from hydra_plugins.birdnet_nl_search.sweeper import SearchSweeper, check_several

SPACE = {"optimizer.lr": "tag(log, interval(0.0001, 0.01))", "data.batch_size": "choice(32, 64)"}


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Runs a search whose jobs score best at a learning rate of 0.001; gives (number, overrides) of each job."""
    pytest.importorskip("optuna")
    from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl

    started = []

    class Launcher:
        dies_at = None

        def launch(self, job_overrides, initial_job_idx):
            results = []
            for index, overrides in enumerate(job_overrides):
                number = initial_job_idx + index
                if number == self.dies_at:
                    raise KeyboardInterrupt
                values = dict(override.split("=") for override in overrides)
                started.append((number, values))
                score = 1 - abs(float(values["optimizer.lr"]) - 0.001)
                results.append(JobReturn(status=JobStatus.COMPLETED, _return_value=score))
            return results

    config = OmegaConf.create(
        {"hydra": {"runtime": {"choices": {"trainer": "turbo"}}, "sweep": {"dir": str(tmp_path / "search")}}}
    )

    def setup(self, **given):
        self.config, self.hydra_context, self.launcher, self.job_idx = config, object(), Launcher(), 0

    monkeypatch.setattr(OptunaSweeperImpl, "setup", setup)

    def run(trials, *arguments, dies_at=None):
        Launcher.dies_at = dies_at
        sweeper = SearchSweeper(trials, 1, 1, str(tmp_path / "search"), SPACE)
        sweeper.setup(hydra_context=None, task_function=None, config=config)
        sweeper.sweep(["species=koolmees", *arguments])
        return started

    return run


def test_values_are_drawn_from_the_space_and_the_best_is_left_as_a_parameter_set(search, tmp_path, capsys):
    jobs = search(8)
    assert [number for number, _ in jobs] == list(range(8))
    assert all(values["species"] == "koolmees" and values["data.batch_size"] in ("32", "64") for _, values in jobs)
    drawn = [float(values["optimizer.lr"]) for _, values in jobs]
    assert all(0.0001 <= value <= 0.01 for value in drawn)
    best = min(drawn, key=lambda value: abs(value - 0.001))
    found = yaml.safe_load((tmp_path / "search/conf/trainer/turbo_searched.yaml").read_text())
    assert found["defaults"] == ["turbo", "_self_"] and found["optimizer"]["lr"] == best
    said = capsys.readouterr().err
    assert "best of 8 trials" in said and "trainer=turbo_searched" in said and f"optimizer.lr={best:.4g}" in said


def test_a_search_that_was_stopped_goes_on_with_numbers_of_its_own(search, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        search(6, dies_at=3)
    jobs = search(6)
    assert [number for number, _ in jobs] == [0, 1, 2, 4, 5, 6]  # the folder of the third is taken
    assert len({values["optimizer.lr"] for _, values in jobs}) == 6
    assert len(search(6)) == 6  # nothing left to do


def test_what_is_given_goes_before_the_space(search):
    assert {values["data.batch_size"] for _, values in search(4, "data.batch_size=48")} == {"48"}


def test_a_search_with_another_space_in_the_same_folder_is_refused(search):
    search(2)
    with pytest.raises(RunError, match=r"holds a search over another space .*; give another hydra.sweep.dir"):
        search(4, "optimizer.lr=choice(0.001,0.002)")


@pytest.mark.parametrize("argument", ["species=koolmees,merel", "seed=1,2", "trainer=fast,turbo", "data.fold=0,1"])
def test_a_search_over_what_is_no_parameter_is_refused(argument):
    with pytest.raises(SelectionError, match="a search takes one value of"):
        check_several(["data.batch_size=32", argument])


def test_a_missing_extra_is_said_with_what_to_install(monkeypatch):
    monkeypatch.setattr(sweeper_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r'pip install -e "\.\[optuna\]"'):
        SearchSweeper(1, 1, 1, ".", {})


def test_no_trials_are_refused():
    with pytest.raises(ValueError, match=r"hydra.sweeper.trials=0 .* must be at least 1"):
        SearchSweeper(0, 1, 1, ".", {})
