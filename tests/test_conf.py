"""Every option composes, our targets are built, and legacy and fast are the original's table and nothing else."""

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

from birdnet_nl.commands import train_main as main
from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.models.registry import build_network
from birdnet_nl.species.table import all_species, get_species

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
    if file.parent != CONF and file.parent.relative_to(CONF).parts[0] != "hydra"
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
    if group == "data/types":  # in the defaults list of conf/data/base.yaml
        return f"{group}={option}"
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
        arguments = {key: None for key in block if not str(key).startswith("_") and key != "pretrained"}
        if isinstance(target, type) and target.__module__.startswith("torch.optim"):
            arguments = {"_": None} | {key: value for key, value in arguments.items() if key != "patience"}
            arguments.pop("_")
        inspect.signature(target).bind_partial(**arguments)  # raises TypeError for a key that nothing takes


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "mel"])
def test_every_front_end_is_built(compose_config, option):
    mel = instantiate(compose_config("species=koolmees", f"mel={option}").mel)
    assert mel.n_mels >= 96 and mel.f_max_hz <= mel.sample_rate_hz / 2


@pytest.mark.parametrize("option", ["emsn_cnn", "compact_cnn"])
def test_every_cnn_is_built(compose_config, option):
    description = OmegaConf.to_container(compose_config("species=koolmees", f"model={option}").model, resolve=True)
    assert sum(weights.numel() for weights in build_network({**description, "types": 3}).parameters()) > 300_000


@pytest.mark.parametrize(
    ("recipe", "embeddings"), [("birdnet", "BirdNet"), ("distilled", "Distilled"), ("frozen", "FrozenCnn")]
)
def test_a_recipe_on_embeddings_sets_everything_it_needs(compose_config, recipe, embeddings):
    cfg = compose_config("species=koolmees", f"trainer={recipe}", "parameter_set=test")
    assert cfg.embeddings._target_.endswith(f".{embeddings}") and cfg.module._target_.endswith(".EmbeddingClassifier")
    assert (cfg.trainer.max_epochs, cfg.optimizer, cfg.scheduler, cfg.data.crops.enabled) == (1, None, None, False)
    assert set(cfg.callbacks) == {"best", "progress"} and cfg.data.synthetic_recordings == 1500
    description = OmegaConf.to_container(cfg.model, resolve=True)
    assert build_network({**description, "types": 3}).num_features == 2 * sum(description["blocks"]) + 2 * (
        recipe == "birdnet"
    )
    assert not OmegaConf.missing_keys(cfg) - {"resume"}


def test_the_layers_of_embeddings_have_the_sizes_of_the_model(compose_config):
    for recipe in ("birdnet", "birdnet_svm", "birdnet_combined", "frozen"):
        cfg = compose_config("species=koolmees", f"trainer={recipe}")
        model = instantiate(cfg.embeddings)
        parts = [model] + ([model.concatenated_with] if model.concatenated_with else [])
        assert sum(cfg.model.blocks) == sum(part.dimensions for part in parts)


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "engine"])
def test_every_engine_is_built(compose_config, option):
    assert instantiate(compose_config("species=koolmees", f"engine={option}").engine).threads == 6


@pytest.mark.parametrize("option", ["auto", "demo", "xeno_canto"])
def test_every_data_source_is_built(compose_config, make_recordings_folder, tmp_path, option):
    make_recordings_folder(tmp_path, "koolmees", {"song": 1})
    cfg = compose_config("species=koolmees", f"data={option}", f"data.root={tmp_path}")
    data = instantiate(cfg.data, _convert_="all")
    assert isinstance(data, SpeciesDataModule)
    assert data.species == get_species("koolmees")
    assert data.synthetic == (option == "demo")
    assert (data.seed, data.types) == (1, ["song", "call", "alarm"])
    assert type(data.shares) is dict  # plain values, so that nothing of Hydra's is passed on


@pytest.mark.parametrize(
    "recipe", ["legacy", "fast", "turbo", "birdnet", "birdnet_svm", "birdnet_combined", "distilled", "frozen"]
)
def test_the_module_of_every_recipe_is_built(compose_config, recipe):
    cfg = compose_config("species=koolmees", f"trainer={recipe}", "parameter_set=test")
    module = instantiate(cfg.module, _convert_="all")
    assert module.network is None and module.description["_target_"] == cfg.model._target_
    for callback in cfg.callbacks.values():
        assert hasattr(instantiate(callback), "on_train_end")


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


def test_the_small_demo_draws_no_plots_and_few_crops(compose_config):
    cfg = compose_config("species=koolmees", "trainer=turbo", "data=demo_small")
    assert cfg.evaluation.plots is False
    assert (cfg.data.crops.enabled, cfg.data.crops.per_epoch, cfg.data.batch_size) == (True, 128, 16)


def test_any_value_can_be_overridden(compose_config):
    cfg = compose_config("species=koolmees", "trainer=fast", "trainer.max_epochs=5", "data.batch_size=32")
    assert (cfg.trainer.max_epochs, cfg.data.batch_size) == (5, 32)
    assert cfg.data.max_segments_per_type == 800


def test_fast_is_the_default_set(compose_config):
    assert compose_config("species=koolmees").trainer.max_epochs == 25


def test_every_species_is_an_option(compose_config):
    for species in all_species()[::100]:
        cfg = compose_config(f"species={species.slug}")
        assert instantiate(cfg.species) == species


def test_a_species_is_a_fact_that_cannot_be_overridden(compose_config):
    with pytest.raises(ConfigCompositionException) as info:
        compose_config("species=koolmees", "species.dutch=Kolmees")
    assert isinstance(info.value.__cause__, ReadonlyConfigError)


INNER_MODELS = ("recording_classifier", "residual_head", "support_vectors", "combined")  # of parameter sets


def test_the_help_names_every_choice_and_only_choices_that_exist():
    groups = main.HELP.partition("GROUPS")[2].partition("VALUES")[0]
    named: set[tuple[str, str]] = set()
    pattern = r"(?:^| {4,})(trainer|data|mel|model|augment|logger|engine|sweeper|launcher)  +((?:[^ ]| (?! ))+)"
    for group, text in re.findall(pattern, groups, re.M):
        text = re.sub(r"\([^)]*\)", "", text).rpartition(":")[2]
        named |= {(group, option.strip()) for option in text.split(",")}
    inner = {("data", "base"), *(("model", name) for name in INNER_MODELS)}
    shown = {group for group, _ in named}
    assert named == {option for option in OPTIONS if option[0] in shown} - inner
    assert "one of 232" in groups and len(all_species()) == 232


def test_every_value_in_the_help_is_a_parameter():
    values = main.HELP.partition("VALUES")[2]
    named = set(re.findall(r"\b((?:data|trainer|optimizer|scheduler|callbacks|engine|paths)(?:\.\w+)+)", values))
    assert len(named) >= 10
    assert named | {"seed"} <= set(main.parameter_names())


def test_the_help_fits_a_screen():
    lines = main.HELP.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 120


def test_the_help_prints_without_hydra_and_ends_quietly_in_a_closed_pipe():
    done = subprocess.run(
        f"{sys.executable} train.py --help | head -n 1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("Train a classifier") and done.stderr == ""
