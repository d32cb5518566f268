"""What `species=...` on the command line means."""

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


def test_several_names_keep_their_order_and_each_counts_once():
    assert select_species("Merel, Parus major,koolmees,vink") == ["merel", "koolmees", "vink"]


def test_vink_is_never_goudvink():
    assert select_species("vink") == ["vink"]
    assert set(select_species("*vink")) >= {"vink", "goudvink", "appelvink"}


def test_all_is_all():
    assert select_species("all") == [species.slug for species in all_species()]


@pytest.mark.parametrize("priority", [1, 2, 3])
def test_a_priority_names_its_species(priority):
    found = select_species(f"priority{priority}")
    assert found == [species.slug for species in all_species() if species.priority == priority]
    assert len(found) > 10


def test_a_priority_that_does_not_exist_is_refused():
    with pytest.raises(SelectionError, match="there are priority1, priority2 and priority3"):
        select_species("priority4")


def test_a_pattern_names_the_slugs_that_fit():
    expected = {species.slug for species in all_species() if species.slug.startswith("zwarte_")}
    assert set(select_species("zwarte_*")) == expected
    assert len(expected) >= 5
    with pytest.raises(SelectionError, match="fits none of the 232 species"):
        select_species("zwarte_q*")


def test_a_misspelt_name_is_answered_with_did_you_mean():
    with pytest.raises(SelectionError, match="did you mean koolmees"):
        prepare_arguments(["species=kolmees"])
    with pytest.raises(SelectionError, match="did you mean koolmees"):
        prepare_arguments(["-m", "species=merel,kolmees"])


@pytest.mark.parametrize("value", ["merel,koolmees", "all", "priority1", "zwarte_*"])
def test_several_species_need_m(value):
    count = len(select_species(value))
    with pytest.raises(SelectionError, match=f"names {count} species; add -m"):
        prepare_arguments([f"species={value}"])
    for flag in ("-m", "--multirun"):
        prepared = prepare_arguments([flag, f"species={value}", "trainer=legacy,fast"])
        assert prepared == [flag, f"species={','.join(select_species(value))}", "trainer=legacy,fast"]


def test_a_pattern_that_fits_one_species_needs_no_m():
    assert prepare_arguments(["species=koolm*"]) == ["species=koolmees"]


def test_hydras_own_words_pass_through():
    for value in ("glob(zwarte*)", "choice(merel,vink)", "null"):
        assert prepare_arguments(["-m", f"species={value}"]) == ["-m", f"species={value}"]


def test_a_missing_species_is_told():
    with pytest.raises(SelectionError, match="no species given; add for example species=koolmees"):
        prepare_arguments(["trainer=fast"])
    with pytest.raises(SelectionError, match="no species given"):
        prepare_arguments([])


@pytest.mark.parametrize("arguments", [["--cfg", "job"], ["--info"], ["--hydra-help"], ["-c", "all"], ["experiment=x"]])
def test_no_species_is_needed_where_nothing_is_trained_or_an_experiment_names_it(arguments):
    assert prepare_arguments(arguments) == arguments


def test_other_arguments_are_left_alone():
    others = ["data.root=/nas/species=odd", "trainer.max_epochs=5", "seed=2"]
    assert prepare_arguments(["species=merel", *others]) == ["species=merel", *others]


def test_every_species_becomes_an_option_of_the_group():
    register_species()
    options = ConfigStore.instance().repo["species"]
    assert {name.removesuffix(".yaml") for name in options} == {species.slug for species in all_species()} | {"pool"}


def complete(line: str) -> set[str]:
    """What TAB offers after `line`, as the shell asks for it."""
    done = subprocess.run(
        [sys.executable, "train.py", "-sc", "query=bash"],
        cwd=ROOT,
        env={**os.environ, "COMP_LINE": line},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_tab_completes_species_and_parameter_sets():
    assert complete("python train.py species=kool") == {"species=koolmees"}
    assert {"trainer=fast", "trainer=legacy"} <= complete("python train.py species=koolmees trainer=")


def test_cfg_with_an_equals_sign_needs_no_species_either():
    assert prepare_arguments(["--cfg=job", "trainer=fast"]) == ["--cfg=job", "trainer=fast"]


def test_the_command_that_is_proposed_can_be_pasted():
    with pytest.raises(SelectionError) as info:
        prepare_arguments(["species=great tit,merel"])
    assert "'species=great tit,merel'" in str(info.value)
