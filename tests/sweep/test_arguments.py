import os

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf

from birdnet_nl.species.table import all_species
from birdnet_nl.sweep.arguments import CachedLoader, expand_sweep_arguments
from birdnet_nl.sweep.job import LAUNCHER
from birdnet_nl.sweep.sweeper import prepare_sweep
from birdnet_nl.util.conf_values import conf_dir
from birdnet_nl.util.errors import RunError, SelectionError


@pytest.mark.parametrize(
    ("arguments", "expanded"),
    [
        (["-m", "species=all", "trainer=turbo"], ["-m", "species=all", "trainer=turbo"]),
        (["species=merel", "seed=2"], ["species=merel", "seed=2"]),
        (["-m", "species=all", "--plan"], ["-m", "species=all", "sweep.plan=true"]),
        (["species=merel", "--plan"], ["-m", "species=merel", "sweep.plan=true"]),
        (["-m", "species=all", "sweep=resume"], ["-m", "species=all", "sweep.folder='resume'"]),
    ],
)
def test_sweep_and_plan_are_translated_for_hydra(arguments, expanded):
    assert expand_sweep_arguments(arguments) == expanded


def test_sweep_without_jobs_takes_the_arguments_of_that_sweep(make_sweep, make_job):
    sweep = make_sweep({make_job("merel"): None})
    expanded = expand_sweep_arguments([f"sweep={sweep.folder}", "trainer=fast"])
    assert expanded == ["-m", "species=all", "trainer=fast", f"sweep.folder='{sweep.folder}'"]
    logs = f"paths.logs={sweep.folder.parent}"
    assert expand_sweep_arguments(["sweep=resume", logs])[:3] == ["-m", "species=all", "trainer=turbo"]


def test_a_folder_without_a_sweep_is_an_error(tmp_path):
    with pytest.raises(SelectionError, match=r"sweep=.*nowhere is not a folder; give sweep=resume"):
        expand_sweep_arguments([f"sweep={tmp_path / 'nowhere'}"])
    with pytest.raises(RunError, match=r"holds no sweep\.json"):
        expand_sweep_arguments([f"sweep={tmp_path}"])
    with pytest.raises(RunError, match="there is no sweep in"):
        expand_sweep_arguments(["sweep=resume", f"paths.logs={tmp_path}"])


def test_the_resumable_sweeper_is_selected_unless_another_is_given(monkeypatch):
    monkeypatch.setenv(LAUNCHER, "")
    assert prepare_sweep(["species=merel"]) == ["species=merel"]
    assert os.environ[LAUNCHER] == ""
    assert prepare_sweep(["-m", "species=merel"])[-1] == "hydra/sweeper=resumable"
    assert os.environ[LAUNCHER] == str(os.getpid())
    for other in ("sweeper=optuna", "hydra/sweeper=optuna"):
        assert prepare_sweep(["-m", other]) == ["-m", other]


@pytest.fixture
def hydra_loader():
    """Hydra's loader and the configuration of a sweep."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        yield loader, loader.load_configuration("train", ["species=koolmees,merel"], run_mode=RunMode.MULTIRUN)


@pytest.mark.parametrize(
    "more",
    [
        ("trainer=turbo",),
        ("trainer=fast", "launcher=joblib", "data=demo_small", "data.types=[song,call]", "seed=3"),
        ("mel=wide", "+trainer.gradient_clip_val=1.0", "~callbacks.progress"),
    ],
    ids=lambda more: more[0],
)
def test_copied_configurations_equal_those_of_hydra(hydra_loader, more):
    loader, master = hydra_loader
    cached = CachedLoader(loader)
    for species in all_species()[::231]:  # the first and the last
        overrides = [f"species={species.slug}", *more, "hydra.sweep.dir='logs/a b'", "hydra.sweep.subdir='turbo/x/0'"]
        copied, composed = (candidate.load_sweep_config(master, overrides) for candidate in (cached, loader))
        assert OmegaConf.to_container(copied, resolve=False) == OmegaConf.to_container(composed, resolve=False)
        for flag in ("struct", "readonly"):
            assert copied._get_flag(flag) == composed._get_flag(flag)
            assert copied.species._get_flag(flag) == composed.species._get_flag(flag)


def test_each_distinct_configuration_is_composed_once(hydra_loader, monkeypatch):
    loader, master = hydra_loader
    monkeypatch.setattr("birdnet_nl.sweep.arguments._composed", {})
    composed = []
    original = type(loader).load_sweep_config
    monkeypatch.setattr(
        type(loader), "load_sweep_config", lambda self, *given: composed.append(given) or original(self, *given)
    )
    cached = CachedLoader(loader)
    for species in ("koolmees", "merel", "vink"):
        for seed in (11, 12):
            cfg = cached.load_sweep_config(master, [f"species={species}", f"seed={seed}"])
            assert (cfg.species.slug, cfg.seed) == (species, seed)
    assert len(composed) == 2


def test_an_unknown_parameter_is_an_error(hydra_loader):
    loader, master = hydra_loader
    with pytest.raises(ConfigCompositionException):
        CachedLoader(loader).load_sweep_config(master, ["species=merel", "trainer.max_epoch=3"])


def test_pools_are_not_copied(hydra_loader):
    loader, master = hydra_loader
    cached = CachedLoader(loader)
    for pool, slug in (("[koolmees,merel]", "pool-koolmees-merel"), ("[vink,roek]", "pool-vink-roek")):
        assert cached.load_sweep_config(master, ["species=pool", f"data.pool={pool}"]).species.slug == slug
