"""Values of `species=` on the command line: the Hydra group `species`, and the names that Hydra cannot read."""

import difflib
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import DictConfig, OmegaConf

from birdnet_nl.species.table import (
    find_species,
    get_species,
    is_slug,
    match_species,
    pool_as_species,
    species_table,
    use_table,
)
from birdnet_nl.species.table_file import BUILT_IN, NETHERLANDS
from birdnet_nl.util.errors import SelectionError

COMPLETED_LINE = "COMP_LINE"  # environment variable of shells: the words before TAB
TABLE_KEYS = ("species.table", "species_table")  # as users type it, and as a run records it
POOL = "pool"  # the option of the group `species` for the species of data.pool

# options of train.py after which nothing is trained, so that no species is needed
NO_JOB = {"--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc"}

# options with their value in the next word
WITH_VALUE = {"--cfg", "-c", "--info", "-i", "--package", "-p"}
WITH_VALUE |= {"--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--experimental-rerun"}


class SpeciesNode(ConfigNode):
    """Option of the group `species`, whose node is built when it is read: Hydra opens all options to complete a name.

    Args:
        file: slug and `.yaml`, as Hydra names an option.
    """

    def __init__(self, file: str) -> None:
        self.name, self.group, self.package, self.provider = file, "species", None, None

    def __getattr__(self, name: str) -> DictConfig:
        if name != "node":
            raise AttributeError(name)
        return species_node(asdict(get_species(self.name.removesuffix(".yaml"))))


class SpeciesOptions(dict):
    """Options of the Hydra group `species`, from the table in use, which is read when Hydra asks for an option.

    A species outside the table, whose slug is its scientific name, is an option too, but is not listed.
    """

    def __contains__(self, file: object) -> bool:
        return super().__contains__(file) or (isinstance(file, str) and is_slug(file.removesuffix(".yaml")))

    def __getitem__(self, file: str) -> ConfigNode:
        if super().__contains__(file):
            return super().__getitem__(file)
        if file not in self:
            raise KeyError(file)
        return SpeciesNode(file)

    def __iter__(self) -> Iterator[str]:
        yield from super().__iter__()
        yield from (f"{slug}.yaml" for slug in _slugs())

    def keys(self) -> list[str]:
        """Names of the options; those that begin as the word before TAB, since Hydra opens every one of them."""
        word = os.environ.get(COMPLETED_LINE, "").rpartition(" ")[2]
        start = word.removeprefix("species=") if word.startswith("species=") else ""
        return [name for name in self if name.startswith(start)]

    def __len__(self) -> int:
        return super().__len__() + len(_slugs())


def _slugs() -> list[str]:
    try:
        return species_table().slugs
    except SelectionError:  # of BIRDNET_NL_SPECIES_TABLE; `prepare_arguments` raises it again, where it is printed
        return []


def register_species() -> None:
    """Register every species as an option of the Hydra group `species`, and one more for the pool of `data.pool`."""
    store = ConfigStore.instance()
    names = {field: f"${{pool_{field}:${{data.pool}}}}" for field in ("slug", "dutch", "english", "scientific")}
    # not read-only, because Hydra's `instantiate` replaces references in the node by their values
    pool = species_node({**names, "birdnet": "", "priority": 0}, readonly=False)
    store.repo["species"] = SpeciesOptions()
    store.store(group="species", name=POOL, node=pool)
    for field in names:
        OmegaConf.register_new_resolver(f"pool_{field}", partial(_pool_name, field=field), replace=True)


def species_node(values: dict[str, Any], readonly: bool = True) -> DictConfig:
    """Return the config node from which `instantiate` builds a `Species`; read-only, since names are not parameters."""
    return OmegaConf.create({"_target_": "birdnet_nl.species.table.Species", **values}, flags={"readonly": readonly})


def _pool_name(pool: str | Sequence[str], field: str) -> str:
    return getattr(pool_as_species(pool), field)


def select_species(value: str) -> list[str]:
    """Return the slugs of a value of `species=` in its order, each once.

    The value holds names in any language (several separated by commas), `all`, `priority1` to `priority3`, or patterns
    of slugs such as `zwarte_*`. Raises `SelectionError` with the closest names.
    """
    slugs: list[str] = []
    for name in value.split(","):
        if name.strip():
            slugs += [species.slug for species in match_species(name.strip().strip("'\""))]
    if not slugs:
        raise SelectionError("species= names no species; give for example species=koolmees")
    return list(dict.fromkeys(slugs))


def _use_table(arguments: Sequence[str]) -> list[str]:
    """Use the table of `species.table=`, else of the environment, and write it before the first override."""
    is_table = [argument.partition("=")[0] in TABLE_KEYS for argument in arguments]
    values = [argument.partition("=")[2] for argument, chosen in zip(arguments, is_table, strict=True) if chosen]
    others = [argument for argument, chosen in zip(arguments, is_table, strict=True) if not chosen]
    if values and "," in values[-1] and not os.path.exists(values[-1]):  # noqa: PTH110
        raise SelectionError(f"species.table={values[-1]} names several tables; a sweep has one for all its jobs")
    table = use_table(values[-1].strip("'\"")) if values else species_table()
    if not values and table.name == NETHERLANDS:
        return others
    place = _first_override(others)
    return [*others[:place], f"species_table={quote_table(table.name)}", *others[place:]]


def _first_override(arguments: Sequence[str]) -> int:
    """Return the index of the first override: Hydra reads overrides in one piece, with no option between them."""
    before = ["", *arguments]
    for index, argument in enumerate(arguments):
        if "=" in argument and not argument.startswith("-") and before[index] not in WITH_VALUE:
            return index
    return len(arguments)


def _example() -> str:
    slugs = species_table().slugs
    return "koolmees" if "koolmees" in slugs else slugs[0]


def quote_table(name: str) -> str:
    """Return a table as Hydra's grammar writes it."""
    if name in BUILT_IN:
        return name
    escaped = name.replace("\\'", "\\\\'").replace("'", "\\'")
    return f"'{escaped}'"


def prepare_arguments(arguments: Sequence[str]) -> list[str]:
    """Rewrite `species=` and `data.pool=` on the command line in Hydra's terms.

    `species.table=` is used from here on, and becomes `species_table=`, so that the run records it. Raises
    `SelectionError` if a species is unknown or missing, or if there are several without `-m`.
    """
    arguments = _use_table(arguments)
    options = {argument.partition("=")[0] for argument in arguments if argument.startswith("-")}
    if options & {"-sc", "--shell-completion"}:
        return list(arguments)
    words = [argument for argument in arguments if "=" not in argument and not argument.startswith(("-", "~"))]
    if words and not options & WITH_VALUE:
        species = find_species(" ".join(words)) or find_species(words[0])
        hint = f"write species={species.slug}" if species else "values are given as name=value, as in species=koolmees"
        raise SelectionError(f"{' '.join(words)} is not a parameter; {hint}")
    is_sweep = bool(options & {"-m", "--multirun"})
    has_pool = any(argument.startswith("data.pool=") and not argument.endswith("=null") for argument in arguments)
    prepared, has_species = [], False
    for argument in arguments:
        key, equals, value = argument.partition("=")
        is_species = key == "species" and bool(equals)
        has_species |= is_species
        if is_species and has_pool and value != POOL:
            raise SelectionError(f"species={value} and data.pool= exclude each other; leave out one of them")
        if not is_species or value == POOL or value.startswith(("glob(", "choice(", "null")):  # Hydra reads these
            prepared.append(argument)
            continue
        slugs = select_species(value)
        if len(slugs) > 1 and not is_sweep:
            raise SelectionError(
                f"species={value} names {len(slugs)} species; add -m to train them one after the other: "
                f"python train.py -m {shlex.join(arguments)}"
            )
        prepared.append(f"species={','.join(slugs)}")
    if has_pool and not has_species:
        index = next(index for index, argument in enumerate(prepared) if argument.startswith("data.pool="))
        prepared.insert(index, f"species={POOL}")
        has_species = True
    has_experiment = any(argument.startswith(("experiment=", "+experiment=")) for argument in arguments)
    if not has_species and not has_experiment and not NO_JOB & options:
        keys = {argument.partition("=")[0] for argument in arguments}
        if close := difflib.get_close_matches("species", keys, n=1, cutoff=0.75):
            raise SelectionError(f"{close[0]} is not a parameter; did you mean species?")
        raise SelectionError(
            f"no species given; add for example species={_example()} (one of {len(species_table())}), or "
            "data.pool=all; see --help"
        )
    return prepared
