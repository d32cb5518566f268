"""The documentation: links and images exist, commands are valid, and README and docs keep to their size."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

import birdnet_nl.commands.train_main  # noqa: F401  registers the species and the resolvers of the configuration
from birdnet_nl.cli import app
from birdnet_nl.species.selection import prepare_arguments
from birdnet_nl.util.conf_values import conf_dir
from birdnet_nl.util.renamed import check_renamed

ROOT = Path(__file__).resolve().parents[1]
HOW_TO = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*HOW_TO, ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs" / "experiments").glob("*.md"))]
MAX_WORDS_README, MAX_WORDS_DOCS, MAX_LINE = 1_000, 16_500, 120
GROUPS = {folder.name for folder in conf_dir().iterdir() if folder.is_dir()} | {"species"}


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def lines_of_code(page: Path) -> list[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)
    return [line.partition(" #")[0].rstrip() for block in blocks for line in block.splitlines()]


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_and_image_exists(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_every_image_is_used():
    text = "".join(text_of(page) for page in PAGES)
    assert [image.name for image in (ROOT / "docs" / "images").iterdir() if f"images/{image.name})" not in text] == []


@pytest.fixture(scope="module")
def names_of_parameters():
    """Names of all parameters with a parameter set, such as `data.crops.enabled` with `turbo`."""

    @cache
    def names(trainer: str) -> set[str]:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            tree = compose("train", ["species=koolmees", f"trainer={trainer}"])
        return set(flat_names(tree))

    yield names
    GlobalHydra.instance().clear()


def flat_names(tree, prefix: str = ""):
    for key in tree:
        yield f"{prefix}{key}"
        if tree._get_node(key)._is_none() or not hasattr(tree._get_node(key), "keys"):
            continue
        yield from flat_names(tree[key], f"{prefix}{key}.")


TRAIN = re.compile(r"(?:python train\.py|birdnet-nl train) (.*)")
COMMANDS = sorted({match[1] for page in HOW_TO for line in lines_of_code(page) if (match := TRAIN.search(line))})


@pytest.mark.parametrize("command", [command for command in COMMANDS if "--config-dir" not in command])
def test_every_training_command_is_valid(names_of_parameters, command):
    arguments = [word for word in shlex.split(command) if not word.startswith("--") and word not in ("job", "…")]
    check_renamed(arguments)
    if "-m" in arguments or not any(word.startswith(("resume=", "sweep=")) for word in arguments):
        arguments = [word for word in arguments if word != "sweep=resume"]
        if not any(word.startswith(("species=", "data.pool=")) for word in arguments):
            arguments.append("species=koolmees")
        arguments = prepare_arguments(arguments)
    arguments = [word for word in arguments if word != "-m" and not word.startswith(("resume=", "sweep=", "base="))]
    arguments = [word for word in arguments if "<" not in word]  # placeholders, such as <time>
    for override in OverridesParser.create().parse_overrides(arguments):
        name = override.key_or_group
        if name in {*GROUPS, "data/types"} and name != "species":
            values = override.value() if override.is_choice_sweep() else None
            options = values.list if values is not None else [override.value()]
            missing = [option for option in options if not (conf_dir() / name / f"{option}.yaml").is_file()]
            assert missing == [], name
        elif name != "species" and not name.startswith("hydra."):
            trainer = next((word[8:].split(",")[0] for word in arguments if word.startswith("trainer=")), "fast")
            assert name in names_of_parameters(trainer), name


def test_every_benchmark_that_is_named_exists():
    for page in [*HOW_TO, ROOT / "benchmarks" / "README.md"]:
        for name in re.findall(r"\bbenchmarks[./](\w+)(?:\.py)?\b", text_of(page)):
            assert name == "README" or (ROOT / "benchmarks" / f"{name}.py").is_file(), name


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 35


def test_every_command_of_the_command_line_exists_with_its_options():
    commands = typer.main.get_command(app).commands
    for page in PAGES:
        assert set(re.findall(r"`birdnet-nl ([a-z][a-z-]*)", text_of(page))) <= set(commands), page_name(page)
    for page in HOW_TO:
        for line in lines_of_code(page):
            match = re.search(r"(?:^|&& |\* )(?:sudo )?(?:[A-Z_]+=\S+ )*birdnet-nl ([a-z][a-z-]*)(.*)", line)
            if match and match[1] != "train":
                known = options_of(commands, match[1], match[2].split())
                assert set(re.findall(r" (--[a-z-]+)", match[2])) <= known, line


def options_of(commands, name: str, words: list[str]) -> set[str]:
    """Options of a command, of its subcommand in `words`, and for a service those of what it runs."""
    if hasattr(commands[name], "commands"):
        commands, name = commands[name].commands, words[0]
    watched = commands["watch"].commands if name == "install-service" else {}
    found = [commands[name], *(watched[word] for word in words[:1] if word in watched)]
    return {option for command in found for parameter in command.params for option in parameter.opts}


def test_readme_and_docs_keep_to_their_size():
    words = {page: len(text_of(page).split()) for page in HOW_TO}
    assert words.pop(ROOT / "README.md") <= MAX_WORDS_README
    assert sum(words.values()) <= MAX_WORDS_DOCS


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_prose_wraps(page):
    text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    assert [line for line in text.splitlines() if len(line) > MAX_LINE and "|" not in line] == []
