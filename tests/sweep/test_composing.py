import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf

from birdnet_nl.species.table import all_species
from birdnet_nl.sweep.composing import QuickLoader


@pytest.fixture
def composing(train_script):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(train_script.CONFIG_DIR), version_base="1.3"):
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
def test_what_is_copied_is_what_hydra_would_compose(composing, more):
    loader, master = composing
    quick = QuickLoader(loader)
    for species in all_species()[::77]:
        overrides = [f"species={species.slug}", *more, "hydra.sweep.dir='logs/a b'", "hydra.sweep.subdir='turbo/x/0'"]
        ours, theirs = quick.load_sweep_config(master, overrides), loader.load_sweep_config(master, overrides)
        assert OmegaConf.to_container(ours, resolve=False) == OmegaConf.to_container(theirs, resolve=False)
        for flag in ("struct", "readonly"):
            assert ours._get_flag(flag) == theirs._get_flag(flag)
            assert ours.species._get_flag(flag) == theirs.species._get_flag(flag)


def test_each_kind_is_composed_once(composing, monkeypatch):
    loader, master = composing
    composed = []
    real = type(loader).load_sweep_config
    monkeypatch.setattr(
        type(loader), "load_sweep_config", lambda self, *given: composed.append(given) or real(self, *given)
    )
    quick = QuickLoader(loader)
    for species in ("koolmees", "merel", "vink"):
        for seed in (11, 12):
            cfg = quick.load_sweep_config(master, [f"species={species}", f"seed={seed}"])
            assert (cfg.species.slug, cfg.seed) == (species, seed)
    assert len(composed) == 2


def test_a_mistyped_parameter_is_still_an_error(composing):
    loader, master = composing
    with pytest.raises(ConfigCompositionException):
        QuickLoader(loader).load_sweep_config(master, ["species=merel", "trainer.max_epoch=3"])


def test_a_pool_is_left_to_hydra(composing):
    loader, master = composing
    quick = QuickLoader(loader)
    for pool, slug in (("[koolmees,merel]", "pool-koolmees-merel"), ("[vink,roek]", "pool-vink-roek")):
        assert quick.load_sweep_config(master, ["species=pool", f"data.pool={pool}"]).species.slug == slug
