"""A search maximises the result of `train`, can be resumed, and writes its best values as a parameter set."""

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

import birdnet_nl.sweep.job  # noqa: F401  registers the species and the resolver of the configuration
from birdnet_nl.util.conf_values import conf_dir
from birdnet_nl.util.errors import RunError, SelectionError, SetupError
from hydra_plugins.birdnet_nl_search import sweeper as sweeper_module
from hydra_plugins.birdnet_nl_search.sweeper import SearchSweeper, check_single_values, format_parameter_set

SPACE = {"optimizer.lr": "tag(log, interval(0.0001, 0.01))", "data.batch_size": "choice(32, 64)"}
VALUES = {"optimizer.lr": 0.0012345678901234567, "data.batch_size": 64, "loss.label_smoothing": 0.07, "mel": "wide"}


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Run a search with the best score at a learning rate of 0.001; returns (number, overrides) of each trial."""
    pytest.importorskip("optuna")
    from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl

    started = []

    class Launcher:
        killed_at = None

        def launch(self, job_overrides, initial_job_idx):
            results = []
            for number, overrides in enumerate(job_overrides, start=initial_job_idx):
                if number == self.killed_at:
                    raise KeyboardInterrupt
                values = dict(override.split("=") for override in overrides)
                started.append((number, values))
                score = 1 - abs(float(values["optimizer.lr"]) - 0.001)
                results.append(JobReturn(status=JobStatus.COMPLETED, _return_value=score))
            return results

    config = OmegaConf.create(
        {"hydra": {"runtime": {"choices": {"trainer": "turbo"}}, "sweep": {"dir": str(tmp_path / "search")}}}
    )

    def setup(self, **_):
        self.config, self.hydra_context, self.launcher, self.job_idx = config, object(), Launcher(), 0

    monkeypatch.setattr(OptunaSweeperImpl, "setup", setup)

    def run(trials, *arguments, killed_at=None):
        Launcher.killed_at = killed_at
        sweeper = SearchSweeper(trials, 1, 1, str(tmp_path / "search"), SPACE)
        sweeper.setup(hydra_context=None, task_function=None, config=config)
        sweeper.sweep(["species=koolmees", *arguments])
        return started

    return run


def test_values_are_drawn_from_the_space_and_the_best_are_a_parameter_set(search, tmp_path, capsys):
    trials = search(8)
    assert [number for number, _ in trials] == list(range(8))
    assert all(values["species"] == "koolmees" and values["data.batch_size"] in ("32", "64") for _, values in trials)
    rates = [float(values["optimizer.lr"]) for _, values in trials]
    assert all(0.0001 <= rate <= 0.01 for rate in rates)
    best = min(rates, key=lambda rate: abs(rate - 0.001))
    parameter_set = yaml.safe_load((tmp_path / "search/conf/trainer/turbo_searched.yaml").read_text())
    assert parameter_set["defaults"] == ["turbo", "_self_"] and parameter_set["optimizer"]["lr"] == best
    output = capsys.readouterr().err
    assert "best of 8 trials" in output and "trainer=turbo_searched" in output and f"optimizer.lr={best:.4g}" in output


def test_a_resumed_search_numbers_its_trials_on(search):
    with pytest.raises(KeyboardInterrupt):
        search(6, killed_at=3)
    trials = search(6)
    assert [number for number, _ in trials] == [0, 1, 2, 4, 5, 6]  # the folder of the third is used
    assert len({values["optimizer.lr"] for _, values in trials}) == 6
    assert len(search(6)) == 6  # nothing is left


@pytest.mark.parametrize("name", ["search", "50% #1 %j, (é)"])
def test_a_search_stored_under_the_address_of_version_0_1_is_found(tmp_path, name):
    optuna = pytest.importorskip("optuna")
    (tmp_path / name).mkdir()
    database = tmp_path / name / "search.db"
    before = optuna.create_study(storage=f"sqlite:///{database}", study_name="search", direction="maximize")
    before.tell(before.ask(), 0.5)
    after = optuna.load_study(storage=sweeper_module.database_url(database), study_name="search")
    assert [trial.value for trial in after.trials] == [0.5]


def test_a_search_in_a_folder_with_special_characters_has_its_database_there(tmp_path):
    optuna = pytest.importorskip("optuna")
    folder = tmp_path / "a?b #1 %j, (é)"
    folder.mkdir()
    for _ in range(2):
        storage = sweeper_module.database_url(folder / "search.db")
        optuna.create_study(storage=storage, study_name="search", load_if_exists=True)
    assert [path.name for path in folder.iterdir()] == ["search.db"] and list(tmp_path.iterdir()) == [folder]


def test_given_values_take_precedence_over_the_space(search):
    assert {values["data.batch_size"] for _, values in search(4, "data.batch_size=48")} == {"48"}


def test_a_search_over_another_space_in_the_same_folder_is_an_error(search):
    search(2)
    with pytest.raises(RunError, match=r"holds a search over another space .*; choose another hydra.sweep.dir"):
        search(4, "optimizer.lr=choice(0.001,0.002)")


@pytest.mark.parametrize("argument", ["species=koolmees,merel", "seed=1,2", "trainer=fast,turbo", "data.fold=0,1"])
def test_several_species_sets_seeds_or_folds_are_an_error(argument):
    with pytest.raises(SelectionError, match="a search takes one value of"):
        check_single_values(["data.batch_size=32", argument])


def test_a_missing_extra_and_a_search_of_no_trials_are_errors(monkeypatch):
    with pytest.raises(ValueError, match=r"hydra.sweeper.trials=0 .* must be at least 1"):
        SearchSweeper(0, 1, 1, ".", {})
    monkeypatch.setattr(sweeper_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r'pip install -e "\.\[optuna\]"'):
        SearchSweeper(1, 1, 1, ".", {})


def test_a_parameter_set_nests_values_and_overrides_options():
    text = format_parameter_set(VALUES, "turbo", {"mel", "trainer"}, 0.8125, 40)
    assert text.startswith("# @package _global_\n# Found by a search of 40 trials: validation 81.2% per recording.\n")
    assert yaml.safe_load(text) == {
        "defaults": ["turbo", "_self_", {"override /mel": "wide"}],
        "optimizer": {"lr": 0.0012345678901234567},
        "data": {"batch_size": 64},
        "loss": {"label_smoothing": 0.07},
    }


def test_a_parameter_set_composes_from_the_folder_of_the_search(tmp_path):
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer/turbo_searched.yaml").write_text(format_parameter_set(VALUES, "turbo", {"mel"}, 0.8, 40))
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", ["species=koolmees", "trainer=turbo_searched", f"hydra.searchpath=[file://{tmp_path}]"])
    assert (cfg.optimizer.lr, cfg.data.batch_size, cfg.loss.label_smoothing) == (0.0012345678901234567, 64, 0.07)
    assert cfg.mel.n_mels == 128 and cfg.trainer.max_epochs == 12 and cfg.model._target_.endswith("CompactCnn")
