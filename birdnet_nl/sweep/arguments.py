"""What `sweep=`, `--plan` and `-m` on the command line mean, in Hydra's terms."""

import os
from collections.abc import Sequence
from pathlib import Path

from birdnet_nl.sweep.jobs import key_of, value_of
from birdnet_nl.sweep.sweep_file import find_sweeps, read_sweep
from birdnet_nl.util.errors import RunError, SelectionError

MULTIRUN = {"-m", "--multirun"}
PLAN = "--plan"
GO_ON = "resume"
DEFAULT_LOGS = "logs"


def known_sweep(arguments: Sequence[str]) -> list[str]:
    """`sweep=` as `sweep.folder=`; where nothing else is said about the jobs, with the arguments of that sweep."""
    wanted = [value_of(text) for text in arguments if key_of(text) == "sweep"]
    others = [text for text in arguments if key_of(text) != "sweep" and text != PLAN]
    prepared = [text for text in others if text not in MULTIRUN]
    if wanted:
        folder = wanted[-1] if wanted[-1] == GO_ON else os.fspath(_sweep_folder(wanted[-1]))
        if not any(key_of(text) in ("species", "data.pool", "experiment") for text in prepared):
            prepared = [*_arguments_of(folder, prepared), *prepared]
        prepared.append(f"sweep.folder='{folder}'")
    if PLAN in arguments:
        prepared.append("sweep.plan=true")
    if wanted or PLAN in arguments or MULTIRUN & set(arguments):
        prepared.insert(0, "-m")
    return prepared


def _sweep_folder(text: str) -> Path:
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise SelectionError(
            f"sweep={text} is not a folder; give sweep=resume, or a sweep's as sweep=logs/sweep-<time>"
        )
    read_sweep(folder)
    return folder


def _arguments_of(folder: str, given: Sequence[str]) -> list[str]:
    """Those of the sweep in `folder`, or of the newest there is; what is `given` too comes after and wins."""
    if folder == GO_ON:
        logs = Path(next((value_of(text) for text in reversed(given) if key_of(text) == "paths.logs"), DEFAULT_LOGS))
        found = find_sweeps(logs) if logs.is_dir() else []
        if not found:
            raise RunError(f"sweep=resume: there is no sweep in {logs}; name species to start one")
        folder = os.fspath(found[0])
    keys = {key_of(text) for text in given}
    return [text for text in read_sweep(Path(folder)).arguments if key_of(text) not in keys]


def prepare_sweep(arguments: list[str]) -> list[str]:
    """With our sweeper where a sweep names no other, and its process as the launcher that workers depend on."""
    from birdnet_nl.sweep.job import LAUNCHER

    if not MULTIRUN & set(arguments):
        return arguments
    os.environ[LAUNCHER] = str(os.getpid())
    if any(key_of(text) in ("sweeper", "hydra/sweeper") and value_of(text) != "basic" for text in arguments):
        return arguments
    from birdnet_nl.sweep.sweeper import NAME, register_sweeper

    register_sweeper()
    return [*arguments, f"hydra/sweeper={NAME}"]
