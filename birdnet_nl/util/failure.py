"""Explanation of exceptions: one sentence for the user, or None for a bug, which keeps its traceback."""

import difflib
import errno
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.markup import escape

from birdnet_nl.util.console import log, screen
from birdnet_nl.util.errors import BirdnetNlError

PACKAGE = Path(__file__).parents[1]
EXTRAS = {"submitit_slurm": "slurm", "submitit_local": "slurm"}  # launchers, and the extra that installs them
WAS_PRINTED = "was_printed"  # attribute of an exception that the user has already seen
MAX_CHARACTERS = 400
OTHER_FOLDERS = "choose other folders with paths.logs=… and paths.cache=…"
RESUME = "resume=<run directory>"
SHOW_PARAMETERS = "python train.py --cfg job shows all parameters"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Iterate over the error and its causes, the outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _raised_in_package(error: BaseException) -> bool:
    """Return True for an error raised by this package itself; a ValueError from elsewhere is a bug."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(PACKAGE)


def explain(
    error: BaseException, list_parameters: Callable[[], Sequence[str]] = tuple, remedy: str = OTHER_FOLDERS
) -> str | None:
    """Return one sentence for the user, or None for an unforeseen error.

    `list_parameters` returns the names of all parameters, for "did you mean"; called only for an unknown parameter.
    `remedy` is the advice where a folder cannot be written.
    """
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, UnicodeEncodeError):
            return (
                f"{cause.object[cause.start : cause.end]!r} cannot be written in the encoding {cause.encoding} of this "
                "system; set the environment variable PYTHONUTF8=1, or LC_ALL=C.UTF-8"
            )
    for cause in chain:
        if isinstance(cause, BirdnetNlError) or (isinstance(cause, ValueError) and _raised_in_package(cause)):
            resolving = re.search(r"raised while resolving interpolation: (.*?)\s+full_key:", str(cause), re.DOTALL)
            return resolving[1] if resolving else str(cause)  # OmegaConf wraps the error of a resolver
    for cause in chain:
        if type(cause).__module__.startswith("submitit."):
            return f"a job ended without a result ({str(cause).splitlines()[0]}); see its log in .submitit of the sweep"
    for cause in chain:
        if isinstance(cause, OSError) and (sentence := _explain_os_error(cause, remedy)):
            return sentence
    for cause in chain:
        if type(cause).__module__.partition(".")[0] in ("hydra", "omegaconf"):
            return _explain_configuration(" ".join(str(part) for part in chain), list_parameters)
    return None


def print_error(error: BaseException, list_parameters: Callable[[], Sequence[str]] = tuple) -> bool:
    """Print and log a foreseen error as one sentence, once; returns False for an error that needs its traceback."""
    if getattr(error, WAS_PRINTED, False):
        return True
    sentence = explain(error, list_parameters)
    if sentence is None:
        return False
    mark_printed(error)
    log.error(sentence)
    screen.print(f"[bold red]✗[/] {escape(sentence)}", soft_wrap=True)
    return True


def mark_printed(error: BaseException) -> None:
    """Keep `print_error` from printing an error again."""
    setattr(error, WAS_PRINTED, True)


def _explain_os_error(error: OSError, remedy: str) -> str | None:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{where}; nothing finished is lost: free some space, then resume with {RESUME}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission to write{where}; {remedy}"
    if error.errno in (errno.ENOTDIR, errno.EEXIST) and error.filename:
        return f"a file is in the way of a folder{where}; move it, or {remedy}"
    if error.errno == errno.ENOENT and error.filename:
        return f"{error.filename} is gone: it was moved or deleted meanwhile; put it back, or start again"
    if error.filename and error.strerror:  # a name that is too long, a disk that does not answer
        return f"{error.filename} cannot be used ({error.strerror}); give another path"
    return None


def _explain_configuration(text: str, list_parameters: Callable[[], Sequence[str]]) -> str:
    """Summarise the many lines of an error of Hydra or OmegaConf as one sentence."""
    unknown = re.search(r"Could not override '([^']+)'", text)
    unknown = unknown or re.search(r"Key '[^']+' is not in struct\s+full_key: (\S+)", text)
    if unknown:
        key = unknown[1].lstrip("+~").partition("@")[0]
        similar = _similar(key, list_parameters())
        return f"{key} is not a parameter; {f'did you mean {similar}?' if similar else SHOW_PARAMETERS}"
    missing = re.search(r"Could not find 'hydra/launcher/(\w+)'", text)
    if missing and (extra := EXTRAS.get(missing[1])):
        return f'this launcher needs {missing[1]}, which is not installed: pip install -e ".[{extra}]"'
    if missing := re.search(r"Could not find '([^']+)/([^/']+)'", text):
        options = re.findall(r"\t(\S+)", text.partition("Config search path")[0])
        close = difflib.get_close_matches(missing[2], options, n=1, cutoff=0.5)
        possible = ", ".join(options[:12])
        hint = f"did you mean {close[0]}? (possible: {possible})" if close else f"possible: {possible}"
        return f"{missing[1]}={missing[2]} does not exist; {hint}"
    if ambiguous := re.search(r"Ambiguous value for argument '([^']+)'", text):
        values = ambiguous[1]
        return f"{values} names several values; add -m to run every combination: python train.py -m {values}"
    if missing := re.search(r"Missing mandatory value: (\S+)", text):
        return f"{missing[1]} has no value; give one: {missing[1]}=…"
    return " ".join(text.split())[:MAX_CHARACTERS]


def _similar(key: str, keys: Sequence[str]) -> str | None:
    """Return the parameter most similar to `key`, by its whole name or by its last part."""
    if close := difflib.get_close_matches(key, keys, n=1, cutoff=0.75):
        return close[0]
    last_parts = {name.rpartition(".")[2]: name for name in keys}
    close = difflib.get_close_matches(key.rpartition(".")[2], list(last_parts), n=1, cutoff=0.75)
    return last_parts[close[0]] if close else None
