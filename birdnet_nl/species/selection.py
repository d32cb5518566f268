"""What `species=...` on the command line means: the Hydra group `species`, and the names that Hydra does not know."""

import shlex
from collections.abc import Sequence
from functools import partial

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from birdnet_nl.species.pool import pool_as_species
from birdnet_nl.species.table import Species, all_species, find_species, species_called
from birdnet_nl.util.errors import SelectionError

POOL = "pool"  # the option of the group `species` that stands for the species of data.pool

# options of train.py after which nothing is trained, so that no species is needed
NO_JOB = {"--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc"}

# options whose value follows as a word of its own
WITH_VALUE = {"--cfg", "-c", "--info", "-i", "--package", "-p"}
WITH_VALUE |= {"--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--experimental-rerun"}


def register_species() -> None:
    """Make every species a frozen option of the Hydra group `species`: its names are facts, not parameters.

    One more option stands for the pool that `data.pool` names.
    """
    store = ConfigStore.instance()
    for species in all_species():
        store.store(group="species", name=species.slug, node=species)
    names = {field: f"${{pool_{field}:${{data.pool}}}}" for field in ("slug", "dutch", "english", "scientific")}
    store.store(group="species", name=POOL, node=Species(**names, birdnet="", priority=0))
    for field in names:
        OmegaConf.register_new_resolver(f"pool_{field}", partial(_of_pool, field=field), replace=True)


def _of_pool(pool: str | Sequence[str], field: str) -> str:
    return getattr(pool_as_species(pool), field)


def select_species(value: str) -> list[str]:
    """Slugs meant by the value of `species=`, in the order given, each once.

    Takes names in any language, several between commas, `all`, `priority1` to `priority3`, and patterns of slugs as
    `zwarte_*`. Raises `SelectionError` with the nearest names.
    """
    slugs: list[str] = []
    for name in value.split(","):
        if name.strip():
            slugs += [species.slug for species in species_called(name.strip().strip("'\""))]
    if not slugs:
        raise SelectionError("species= names no species; give for example species=koolmees")
    return list(dict.fromkeys(slugs))


def prepare_arguments(arguments: Sequence[str]) -> list[str]:
    """Command-line arguments with `species=` put into Hydra's terms.

    Raises `SelectionError` when a species is unknown or missing, or when several are named without `-m`.
    """
    options = {argument.partition("=")[0] for argument in arguments if argument.startswith("-")}
    if options & {"-sc", "--shell-completion"}:
        return list(arguments)
    words = [argument for argument in arguments if "=" not in argument and not argument.startswith(("-", "~"))]
    if words and not options & WITH_VALUE:
        species = find_species(" ".join(words)) or find_species(words[0])
        hint = f"write species={species.slug}" if species else "values are given as name=value, as in species=koolmees"
        raise SelectionError(f"{' '.join(words)} is not a parameter; {hint}")
    sweep = bool(options & {"-m", "--multirun"})
    pooled = any(argument.startswith("data.pool=") and not argument.endswith("=null") for argument in arguments)
    prepared, named = [], False
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key != "species" or not equals:
            prepared.append(argument)
            continue
        named = True
        if pooled and value != POOL:
            raise SelectionError(f"species={value} and data.pool= exclude each other; leave out one of them")
        if value == POOL:
            prepared.append(argument)
            continue
        if value.startswith(("glob(", "choice(", "null")):  # Hydra's own
            prepared.append(argument)
            continue
        slugs = select_species(value)
        if len(slugs) > 1 and not sweep:
            raise SelectionError(
                f"species={value} names {len(slugs)} species; add -m to train them one after the other: "
                f"python train.py -m {shlex.join(arguments)}"
            )
        prepared.append(f"species={','.join(slugs)}")
    if pooled and not named:
        index = next(index for index, argument in enumerate(prepared) if argument.startswith("data.pool="))
        prepared.insert(index, f"species={POOL}")
        named = True
    elsewhere = any(argument.startswith(("experiment=", "+experiment=")) for argument in arguments)
    if not named and not elsewhere and not NO_JOB & options:
        raise SelectionError(
            "no species given; add for example species=koolmees (one of 232), or data.pool=[koolmees,merel]; see --help"
        )
    return prepared
