"""Commands that messages print for copying: quoted for the shell, and with paths that cannot be misread."""

import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

TRAIN_SCRIPT = "train.py"
SPECIAL_NAMES = ("null", "synthetic", "resume")  # values of path parameters that name no path


def short_path(path: str | Path) -> str:
    """Return a path relative to the current folder when it is below it, else the absolute path; plain text."""
    try:
        resolved, here = Path(path).resolve(), Path.cwd()
    except (OSError, ValueError):  # the current folder was deleted; a null byte
        return str(path)
    return str(resolved.relative_to(here) if resolved.is_relative_to(here) else resolved)


def path_value(path: str | Path) -> str:
    """Return a path for a command line, with `./` before a name that would be read as an option or another value."""
    text = short_path(path)
    is_special = text.startswith(("-", "~", "'", '"')) or text.lower() in SPECIAL_NAMES
    return f"./{text}" if is_special or re.fullmatch(r"(choice|glob)\(.*\)", text, re.DOTALL) else text


def quote_word(word: str) -> str:
    """Quote a word for the shell; control characters and bytes that are no UTF-8 as `$'…'` of bash and zsh."""
    if all(character.isprintable() for character in word):
        return shlex.quote(word)
    escaped = (_escape(character) for character in word)
    return f"$'{''.join(escaped)}'"


def _escape(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _join(words: Iterable[str]) -> str:
    return " ".join(map(quote_word, words))


def printed_command(*words: str | Path) -> str:
    """Return a command that works when it is pasted into a shell; words that are paths go through `path_value`."""
    return _join(path_value(word) if isinstance(word, Path) else word for word in words)


def train_command(*words: str, **paths: str | Path) -> str:
    """Return a training command: `python train.py`, or `birdnet-nl train` where no train.py was started.

    `paths` become arguments such as `resume=<path>`; plain `words` are arguments that need no change but quoting.
    """
    script = _train_script()
    program = ["python", script] if script else ["birdnet-nl", "train"]
    return _join([*program, *words, *(f"{key}={path_value(path)}" for key, path in paths.items())])


def _train_script() -> str | None:
    """Return the path of `train.py` as it can be started here; None where only the installed command can."""
    started = Path(sys.argv[0] if sys.argv else "")
    candidates = [started] if started.name == TRAIN_SCRIPT else []
    candidates.append(Path(__file__).parents[2] / TRAIN_SCRIPT)  # of a checkout
    if not candidates[:-1] and not Path(TRAIN_SCRIPT).exists():
        return None
    script = next((path for path in candidates if path.is_file()), None)
    return short_path(script) if script else None
