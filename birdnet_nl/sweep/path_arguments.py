"""Paths on the command line of a training, which need no other quoting than the shell's.

Hydra reads `,` as the separator of a sweep and gives brackets, quotes, `=`, `#` and accents a meaning or refuses them.
In the value of a parameter that is a path they are ordinary characters, so the value is quoted for Hydra. Unchanged are
a plain name, `null`, and a value that is quoted for Hydra already; `${…}` stays a reference. A sweep over several
folders is written with quotes or with choice: `"data.root='/a','/b'"` or `"data.root=choice(/a,/b)"`.
"""

import os
import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from birdnet_nl.util.errors import SelectionError
from birdnet_nl.util.files import user_path
from birdnet_nl.util.printed_commands import SPECIAL_NAMES

PATH_KEYS = {  # parameters that are paths
    "base",
    "callbacks.median_pruner.folder",
    "data.cache_dir",
    "data.demo.folder",
    "data.root",
    "final",
    "hydra.launcher.submitit_folder",
    "hydra.run.dir",
    "hydra.sweep.dir",
    "hydra.sweep.subdir",
    "hydra.sweeper.folder",
    "model.pretrained",
    "paths.cache",
    "paths.logs",
    "resume",
    "sweep",
    "sweep.folder",
}
PATH_NAMES = re.compile(r"(.*_)?(root|dir|folder|path|file)")  # last part of a parameter from outside the package
URL = re.compile(r"[a-zA-Z][\w+.-]*://")
ENVIRONMENT = ("BIRDNET_NL_DATA", "BIRDNET_NL_CACHE")

_parser = OverridesParser.create()


def is_path_key(key: str) -> bool:
    """Return True for a parameter whose value is a path, without `+` before it."""
    return key in PATH_KEYS or ("." in key and PATH_NAMES.fullmatch(key.rpartition(".")[2]) is not None)


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the values of path parameters quoted for Hydra where they need it."""
    return [_quote_argument(argument) for argument in arguments]


def expand_environment() -> None:
    """Expand `~` in the environment variables that name folders, which the shell leaves as it is within quotes."""
    for name in ENVIRONMENT:
        if (value := os.environ.get(name, "")).startswith("~"):
            os.environ[name] = str(user_path(value))


def _quote_argument(argument: str) -> str:
    prefix, key, equals, value = re.fullmatch(r"(\+{0,2})([^=]*)(=?)(.*)", argument, re.DOTALL).groups()
    if not equals or not is_path_key(key):
        return argument
    return f"{prefix}{key}={quote_path(value, may_be_a_list=key not in PATH_KEYS)}"


def quote_path(value: str, may_be_a_list: bool = False) -> str:
    """Return `value` as Hydra's grammar writes this path: unchanged where it already reads it so."""
    read = _read(value)
    if value == "" or value.lower() == "null" or isinstance(read, QuotedString) or _is_explicit_sweep(value, read):
        return value
    if may_be_a_list and isinstance(read, list | dict):
        return value
    _check_references(value)
    path = value if URL.match(value) else _expand(value)
    return path if path == value and isinstance(read, str) and read == value else quoted(path)


def _check_references(value: str) -> None:
    """Raise `SelectionError` for `${` in the name of a folder, which the configuration would take for a reference."""
    try:
        OmegaConf.create({"path": value})
    except OmegaConfBaseException:
        raise SelectionError(
            f"{value} holds ${{, which begins a reference to another parameter, as in ${{paths.logs}}; rename the "
            "folder, or give a symbolic link to it"
        ) from None


def quoted(text: str) -> str:
    """Return any text as one quoted value of Hydra's grammar."""
    return QuotedString(text=text, quote=Quote.single).with_quotes()


def unquoted(value: str) -> str:
    """Return the text of a value of Hydra's grammar, which may be quoted."""
    if value[:1] not in ("'", '"') or value[-1:] != value[:1]:
        return value
    read = _read(value)
    return read.text if isinstance(read, QuotedString) else value.strip("'\"")


def _read(value: str) -> object:
    """Return the value as Hydra's parser reads it; None where its grammar does not allow it."""
    try:
        return _parser.parse_override(f"key={value}").value() if value[:1] not in "'\"" else _raw(value)
    except HydraException:
        return None


def _raw(value: str) -> object:
    return _parser.parse_override(f"key={value}")._value  # `value()` would take off the quotes


def _is_explicit_sweep(value: str, read: object) -> bool:
    """Return True for choice(…), for quoted paths with commas between them, and for options such as synthetic,null."""
    if not isinstance(read, ChoiceSweep):
        return False
    if not read.simple_form:
        return True
    return all(isinstance(item, QuotedString) or str(item).lower() in (*SPECIAL_NAMES, "none") for item in read.list)


def _expand(value: str) -> str:
    """Expand `~`, and choose the form of accents that is on the disk; the spelling of the path stays otherwise."""
    path = user_path(value)
    return value if str(path) == os.path.normpath(value) or str(path) == value else str(path)
