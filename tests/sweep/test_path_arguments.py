"""Values of path parameters reach the configuration as they were typed, with the shell's quoting only."""

import os
import shlex
import unicodedata
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from birdnet_nl.sweep.arguments import combine
from birdnet_nl.sweep.jobs import override_value
from birdnet_nl.sweep.path_arguments import PATH_KEYS, expand_environment, is_path_key, quote_paths, quoted, unquoted
from tests.nasty_names import NASTY_NAMES


@pytest.mark.parametrize("name", NASTY_NAMES, ids=ascii)
def test_a_path_is_read_by_hydra_as_it_was_typed(name, tmp_path):
    for path in (f"/nas/{name}", f"./{name}", f"x{name}/logs", f"{tmp_path}/{name}/"):
        (argument,) = quote_paths([f"data.root={path}"])
        override = OverridesParser.create().parse_override(argument)
        assert not override.is_sweep_override()
        assert override.value() == path
        assert override_value(argument) == path
        assert quote_paths([argument]) == [argument]  # a stored sweep is read again


@pytest.mark.parametrize("name", NASTY_NAMES, ids=ascii)
def test_a_path_is_one_value_in_a_sweep(name):
    arguments = quote_paths(["species=koolmees,merel", f"paths.logs=/nas/{name}", f"data.root=./{name}"])
    jobs = combine(arguments)
    assert [overrides[0] for overrides in jobs] == ["species=koolmees", "species=merel"]
    for overrides in jobs:
        values = [OverridesParser.create().parse_override(text).value() for text in overrides[1:]]
        assert values == [f"/nas/{name}", f"./{name}"]


@pytest.mark.parametrize("name", NASTY_NAMES, ids=ascii)
def test_any_text_can_be_quoted_and_unquoted(name):
    assert unquoted(quoted(name)) == name
    assert OverridesParser.create().parse_override(f"key={quoted(name)}").value() == name


@pytest.mark.parametrize(
    "argument",
    [
        "data.root=/nas/recordings",
        "data.root=s3://bucket/xc",
        "data.root=null",
        "data.root=",
        "data.root='/nas/Bird (2024)'",
        'data.root="it\'s"',
        "data.root='/a','/b'",
        "data.root=choice(/a,/b)",
        "model.pretrained=synthetic,null",
        "model.pretrained=null",
        "paths.logs=${oc.env:HOME}/logs",
        "hydra.run.dir=logs/${parameter_set}/${now:%Y-%m-%d}",
        "data.extra=[a,b]",
        "+data.extra_dir=[a,b]",
        "data.pool=[koolmees,merel]",
        "data.types=[song,call]",
        "data.shares={train: 0.4, val: 0.4, test: 0.2}",
        "species=koolmees,merel",
        "seed=1,2",
        "~callbacks.progress",
        "-m",
        "--cfg",
    ],
)
def test_other_values_and_values_in_the_grammar_of_hydra_are_unchanged(argument):
    assert quote_paths([argument]) == [argument]


def test_a_reference_stays_a_reference_beside_other_characters(monkeypatch):
    monkeypatch.setenv("NAS", "/nas")
    (argument,) = quote_paths(["paths.logs=${oc.env:NAS}/Bird (2024), #1"])
    assert OmegaConf.create({"x": override_value(argument)}).x == "/nas/Bird (2024), #1"


def test_a_tilde_is_the_home_folder_only_where_the_shell_expands_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "it's home"))
    home = str(tmp_path / "it's home")
    for typed, value in {"~": home, "~/logs": f"{home}/logs", "~nobody-there": "~nobody-there", "a~/b": "a~/b"}.items():
        assert override_value(quote_paths([f"paths.logs={typed}"])[0]) == value
    monkeypatch.setenv("BIRDNET_NL_DATA", "~/recordings")
    monkeypatch.setenv("BIRDNET_NL_CACHE", "/cache/~")
    expand_environment()
    assert (os.environ["BIRDNET_NL_DATA"], os.environ["BIRDNET_NL_CACHE"]) == (f"{home}/recordings", "/cache/~")


@pytest.mark.parametrize(("typed", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_found_in_the_other_unicode_form(tmp_path, typed, on_disk):
    folder = tmp_path / unicodedata.normalize(on_disk, "Vögel café") / "é".encode().decode()
    folder.mkdir(parents=True)
    path = f"{tmp_path}/{unicodedata.normalize(typed, 'Vögel café')}/é"
    assert override_value(quote_paths([f"data.root={path}"])[0]) == str(folder)


def test_every_path_parameter_is_known(compose_config):
    """A parameter that is named like a folder or a file, or whose default is below one, is in the list."""
    names: set[str] = set()

    def walk(node: object, prefix: str) -> None:
        for key, value in node.items() if isinstance(node, dict) else ():
            walk(value, f"{prefix}{key}.")
            if isinstance(value, str) and "${paths." in value:
                names.add(f"{prefix}{key}")

    for overrides in ((), ("trainer=turbo",), ("trainer=head",), ("data=demo_small",)):
        walk(OmegaConf.to_container(compose_config(*overrides), resolve=False), "")
    assert names and all(is_path_key(name) for name in names), sorted(names)
    assert {"data.root", "paths.logs", "resume", "base", "model.pretrained"} <= PATH_KEYS
    assert not {"species", "trainer", "data", "data.pool", "hydra.searchpath", "root"} & {
        name for name in ("species", "trainer", "data", "data.pool", "hydra.searchpath", "root") if is_path_key(name)
    }


def test_ordinary_shell_quoting_is_enough():
    """The issue's own example, split by the rules of the shell."""
    words = shlex.split('species=koolmees "data.root=/nas/Bird (2024), it\'s = #1"')
    assert override_value(quote_paths(words)[1]) == "/nas/Bird (2024), it's = #1"
    assert Path(override_value(quote_paths(words)[1])).name == "Bird (2024), it's = #1"
