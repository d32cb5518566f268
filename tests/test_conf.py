"""Every option composes, ours are built, and the two parameter sets hold the original's table and nothing else."""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.errors import ConfigCompositionException
from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf
from omegaconf.errors import ReadonlyConfigError

from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.models.registry import build_network
from birdnet_nl.species.table import Species, all_species, get_species

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"

# The original's table: (old, new), one row each.
TABLE = {
    "engine.threads": (4, 6),  # torch threads
    "data.max_segments_per_type": (1000, 800),  # most segments per type
    "trainer.max_epochs": (30, 25),  # epochs, at most
    "data.batch_size": (64, 128),  # batch size
    "callbacks.early_stopping.patience": (7, 5),  # early stopping patience
    "scheduler.patience": (5, 3),  # LR scheduler patience
    "data.num_workers": (0, 2),  # DataLoader workers
    "data.pin_memory": (False, True),  # pin_memory
    "data.persistent_workers": (False, True),  # persistent_workers
}
COLUMN = {"legacy": 0, "fast": 1}

# Options of plugins that an extra installs; [dev] installs them all.
NEEDS = {
    ("launcher", "slurm"): "hydra_plugins.hydra_submitit_launcher",
    ("launcher", "submitit_local"): "hydra_plugins.hydra_submitit_launcher",
}

OPTIONS = [
    (file.parent.relative_to(CONF).as_posix(), file.stem)
    for file in sorted(CONF.rglob("*.yaml"))
    if file.parent != CONF and file.parent.relative_to(CONF).parts[0] not in ("hydra", "for_model")  # model= takes it
]


def flatten(tree: dict, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def targets_in(tree: object) -> Iterator[dict]:
    """Every mapping with a `_target_` in a configuration as plain values, outermost first."""
    if isinstance(tree, dict):
        if "_target_" in tree:
            yield tree
        for value in tree.values():
            yield from targets_in(value)


def override_for(compose_config, group: str, option: str) -> str:
    """`group=option`, with a plus where the group is not in the defaults list."""
    in_defaults = re.search(rf"^  - (override )?/?{re.escape(group)}:", (CONF / "train.yaml").read_text(), re.MULTILINE)
    return f"{'' if in_defaults else '+'}{group}={option}"


def test_there_are_options_to_test():
    assert {("trainer", "fast"), ("trainer", "legacy"), ("mel", "emsn"), ("mel", "wide")} < set(OPTIONS)


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda value: value)
def test_every_option_composes_and_its_targets_exist(compose_config, group, option):
    if (group, option) in NEEDS:
        pytest.importorskip(NEEDS[group, option])
    cfg = compose_config("species=koolmees", override_for(compose_config, group, option))
    blocks = list(targets_in(OmegaConf.to_container(cfg, resolve=False)))
    assert len(blocks) >= 8
    for block in blocks:
        target = get_object(block["_target_"])
        arguments = {key: None for key in block if not str(key).startswith("_")}
        if block["_target_"].startswith("birdnet_nl.training.schedules."):
            arguments.pop("patience", None)  # of the parameter set; scheduler=one_cycle has no use for it
        inspect.signature(target).bind_partial(**arguments)  # raises TypeError for a key that nothing takes


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "mel"])
def test_every_front_end_is_built(compose_config, option):
    mel = instantiate(compose_config("species=koolmees", f"mel={option}").mel)
    assert mel.n_mels >= 96 and mel.f_max_hz <= mel.sample_rate_hz / 2


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "model"])
def test_every_network_is_built(compose_config, option):
    description = OmegaConf.to_container(compose_config("species=koolmees", f"model={option}").model, resolve=True)
    if option == "head":
        base = OmegaConf.to_container(compose_config("species=koolmees", "model=compact_cnn").model, resolve=True)
        description |= {"trunk": {**base, "types": 3}, "sharpness": 1.0}
    assert sum(weights.numel() for weights in build_network({**description, "types": 3}).parameters()) > 300


@pytest.mark.parametrize("model", ["birdnet", "bands", "modulation", "practised", "student", "head"])
@pytest.mark.parametrize("trainer", ["fast", "legacy", "turbo", "head"])
def test_what_is_fitted_at_once_needs_one_epoch_whatever_the_parameter_set(compose_config, model, trainer):
    cfg = compose_config("species=koolmees", f"trainer={trainer}", f"model={model}")
    assert (cfg.parameter_set, cfg.trainer.max_epochs) == (model, 1)
    assert cfg.callbacks.early_stopping is None and cfg.callbacks.averaging is None
    assert cfg.data.crops is None and cfg.data.max_segments_per_type is None
    assert not OmegaConf.missing_keys(cfg) & {"scheduler.patience"}


def test_a_parameter_set_means_its_own_network_beside_those_that_are_fitted_at_once(compose_config):
    cfg = compose_config("species=koolmees", "trainer=turbo", "model=compact_cnn")
    assert cfg.trainer.max_epochs > 1 and cfg.data.features is None


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "engine"])
def test_every_engine_is_built(compose_config, option):
    assert instantiate(compose_config("species=koolmees", f"engine={option}").engine).threads == 6


@pytest.mark.parametrize("option", ["auto", "demo", "xeno_canto"])
def test_every_data_source_is_built(compose_config, make_recordings_folder, tmp_path, option):
    make_recordings_folder(tmp_path, "koolmees", {"song": 1})
    cfg = compose_config("species=koolmees", f"data={option}", f"data.root={tmp_path}")
    data = instantiate(cfg.data, species=Species(**cfg.species), mel=instantiate(cfg.mel), _convert_="object")
    assert isinstance(data, SpeciesDataModule)
    assert data.species == get_species("koolmees")
    assert data.synthetic == (option == "demo")
    assert (data.seed, data.types) == (1, ["song", "call", "alarm"])
    assert type(data.shares) is dict  # plain values, so that nothing of Hydra's travels on


@pytest.mark.parametrize("group", ["callbacks", "optimizer", "scheduler"])
def test_what_drives_the_training_is_built(compose_config, group):
    cfg = compose_config("species=koolmees", "trainer=fast")
    for block in targets_in(OmegaConf.to_container(cfg[group], resolve=True)):
        assert callable(instantiate(block)) or hasattr(instantiate(block), "on_train_end")


@pytest.mark.parametrize("name", ["legacy", "fast"])
def test_a_parameter_set_is_the_original_table_row_by_row_and_nothing_else(name):
    content = OmegaConf.to_container(OmegaConf.load(CONF / "trainer" / f"{name}.yaml"))
    assert flatten(content) == {row: values[COLUMN[name]] for row, values in TABLE.items()}


@pytest.mark.parametrize("name", ["legacy", "fast"])
def test_the_table_arrives_in_the_composed_configuration(compose_config, name):
    composed = compose_config("species=koolmees", f"trainer={name}")
    for row, values in TABLE.items():
        found = OmegaConf.select(composed, row)
        assert found == values[COLUMN[name]], row
        assert type(found) is type(values[COLUMN[name]]), row


def test_two_parameter_sets_differ_in_the_table_only(compose_config):
    flat = {
        name: flatten(OmegaConf.to_container(compose_config("species=koolmees", f"trainer={name}"), resolve=False))
        for name in ("legacy", "fast")
    }
    different = {key for key in flat["fast"] if flat["fast"][key] != flat["legacy"][key]}
    assert flat["fast"].keys() == flat["legacy"].keys()
    assert different == set(TABLE)


def test_cfg_job_shows_the_table():
    done = subprocess.run(
        [sys.executable, "train.py", "--cfg", "job", "trainer=fast"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    shown = OmegaConf.create(done.stdout)
    for row, (_, new) in TABLE.items():
        assert OmegaConf.select(shown, row) == new, row


@pytest.mark.parametrize("option", sorted(option for group, option in OPTIONS if group == "launcher"))
def test_jobs_that_run_beside_others_have_one_thread(compose_config, option):
    if ("launcher", option) in NEEDS:
        pytest.importorskip(NEEDS["launcher", option])
    for name, threads in (("fast", 6), ("turbo", 2)):
        cfg = compose_config("species=koolmees", f"trainer={name}", f"launcher={option}")
        assert cfg.engine.threads == (threads if option == "basic" else 1)
        assert option == "basic" or (cfg.data.num_workers, cfg.data.decode_workers) == (0, 1)


def test_any_value_can_be_overridden(compose_config):
    cfg = compose_config("species=koolmees", "trainer=fast", "trainer.max_epochs=5", "data.batch_size=32")
    assert (cfg.trainer.max_epochs, cfg.data.batch_size) == (5, 32)
    assert cfg.data.max_segments_per_type == 800


def test_fast_is_the_default_set(compose_config):
    assert compose_config("species=koolmees").trainer.max_epochs == 25


def test_every_species_is_an_option(compose_config):
    for species in all_species()[::100]:
        cfg = compose_config(f"species={species.slug}")
        assert Species(**cfg.species) == species


def test_a_species_is_a_fact_that_cannot_be_overridden(compose_config):
    with pytest.raises(ConfigCompositionException) as info:
        compose_config("species=koolmees", "species.dutch=Kolmees")
    assert isinstance(info.value.__cause__, ReadonlyConfigError)


def test_the_help_names_every_choice_and_only_choices_that_exist(train_script):
    choices = train_script.__doc__.partition("CHOICES")[2].partition("VALUES")[0]
    named: set[tuple[str, str]] = set()
    for group, text in re.findall(r"^  (\w+)  +(.*)$", choices, re.MULTILINE):
        text = re.sub(r"\([^)]*\)", "", text).rpartition(":")[2]
        named |= {(group, option.strip()) for option in text.split(",")} if group != "species" else set()
    groups = ("trainer", "data", "mel", "model", "augment", "engine", "launcher", "sweeper")
    own = {name for name in OPTIONS if name[0] in groups}
    assert named == own - {("data", "base")}
    assert "one of 232" in choices and len(all_species()) == 232


def test_every_value_in_the_help_is_a_parameter(train_script):
    values = train_script.__doc__.partition("VALUES")[2]
    named = set(re.findall(r"\b((?:data|trainer|optimizer|scheduler|callbacks|engine|paths)(?:\.\w+)+)", values))
    assert len(named) >= 12
    assert named | {"seed"} <= set(train_script.parameter_names())


def test_the_help_prints_without_hydra_and_in_a_moment():
    done = subprocess.run([sys.executable, "train.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "EXAMPLES" in done.stdout and "species=koolmees" in done.stdout
    assert done.stderr == ""
