"""Values of `species=` and `data.pool=` on the command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from birdnet_nl.species.selection import prepare_arguments, register_species, select_species
from birdnet_nl.species.table import all_species
from birdnet_nl.util.errors import SelectionError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["koolmees", "Koolmees", "Parus major", "great tit", "'great tit'", '"Great Tit"'])
def test_any_name_becomes_the_slug(name):
    assert select_species(name) == ["koolmees"]
    assert prepare_arguments([f"species={name}", "trainer=fast"]) == ["species=koolmees", "trainer=fast"]


def test_lists_priorities_and_patterns_select_their_species_once_and_in_order():
    assert select_species("Merel, Parus major,koolmees,vink") == ["merel", "koolmees", "vink"]
    assert select_species("all") == [species.slug for species in all_species()]
    for priority in (1, 2, 3):
        of_priority = [species.slug for species in all_species() if species.priority == priority]
        assert select_species(f"priority{priority}") == of_priority and len(of_priority) > 10
    zwarte = [species.slug for species in all_species() if species.slug.startswith("zwarte_")]
    assert select_species("zwarte_*") == zwarte and len(zwarte) >= 5
    assert set(select_species("*vink")) >= {"vink", "goudvink", "appelvink"} and select_species("vink") == ["vink"]
    assert prepare_arguments(["species=koolm*"]) == ["species=koolmees"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["species=priority4"], "choose priority1, priority2 or priority3"),
        (["species=zwarte_q*"], "matches none of the 232 species"),
        (["species=kolmees"], "did you mean koolmees"),
        (["-m", "species=merel,kolmees"], "did you mean koolmees"),
        (["trainer=fast"], "no species given; add for example species=koolmees"),
        ([], "no species given"),
        (["speces=koolmees"], "speces is not a parameter; did you mean species?"),
        (["species=merel", "data.pool=all"], "exclude each other"),
    ],
)
def test_an_unknown_missing_or_double_selection_raises(arguments, message):
    with pytest.raises(SelectionError, match=message):
        prepare_arguments(arguments)


@pytest.mark.parametrize("value", ["merel,koolmees", "all", "priority1", "zwarte_*"])
def test_several_species_need_multirun(value):
    count = len(select_species(value))
    with pytest.raises(SelectionError, match=f"names {count} species; add -m"):
        prepare_arguments([f"species={value}"])
    for flag in ("-m", "--multirun"):
        prepared = prepare_arguments([flag, f"species={value}", "trainer=legacy,fast"])
        assert prepared == [flag, f"species={','.join(select_species(value))}", "trainer=legacy,fast"]


def test_the_suggested_command_can_be_pasted_into_a_shell():
    with pytest.raises(SelectionError) as info:
        prepare_arguments(["species=great tit,merel"])
    assert "'species=great tit,merel'" in str(info.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "species=glob(zwarte*)"],
        ["-m", "species=choice(merel,vink)"],
        ["-m", "species=null"],
        ["species=merel", "data.root=/nas/species=odd", "trainer.max_epochs=5", "seed=2"],
        ["species=pool", "data.pool=all"],
    ],
)
def test_other_arguments_are_unchanged(arguments):
    assert prepare_arguments(arguments) == arguments


@pytest.mark.parametrize(
    "arguments",
    [["--cfg", "job"], ["--cfg=job", "trainer=fast"], ["--info"], ["--hydra-help"], ["-c", "all"], ["experiment=x"]],
)
def test_no_species_is_needed_without_training_or_with_an_experiment(arguments):
    assert prepare_arguments(arguments) == arguments


def test_every_species_and_the_pool_are_options_of_the_group():
    assert prepare_arguments(["data.pool=all", "--cfg", "job"]) == ["species=pool", "data.pool=all", "--cfg", "job"]
    register_species()
    options = ConfigStore.instance().repo["species"]
    assert {name.removesuffix(".yaml") for name in options} == {species.slug for species in all_species()} | {"pool"}


def complete(line: str) -> set[str]:
    """Return the completions that TAB offers after `line`, requested as a shell does."""
    process = subprocess.run(
        [sys.executable, "train.py", "-sc", "query=bash"],
        cwd=ROOT,
        env={**os.environ, "COMP_LINE": line},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(process.stdout.split())


def test_tab_completes_species_and_trainers():
    assert complete("python train.py species=kool") == {"species=koolmees"}
    assert {"trainer=fast", "trainer=legacy"} <= complete("python train.py species=koolmees trainer=")
