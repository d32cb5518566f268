"""`birdnet-nl rerun`: the same run once more, and whether it gives the same."""

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.data.sources import SYNTHETIC
from birdnet_nl.util.console import display_path
from birdnet_nl.util.errors import RunError


def rerun_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
) -> None:
    """Repeat a finished run with its own configuration, in a new folder beside it, and say whether anything differs.

    Example: birdnet-nl rerun logs/fast/koolmees/2026-11-23_17-34-57
    """
    from birdnet_nl.commands.rerun_difference import circumstances, differing_figures
    from birdnet_nl.util.run_directory import CONFIG, METRICS, log_to_file, read_config, read_json

    run = run.expanduser().resolve()
    for name in (CONFIG, METRICS):
        if not (run / name).is_file():
            raise RunError(f"{run} holds no {name}, so no finished run is there; give the folder of a finished run")
    before, cfg = read_json(run / METRICS), read_config(run)
    folder = new_folder(run)
    folder.mkdir(parents=True)
    if (run / ".hydra").is_dir():  # what was typed, by which `birdnet-nl compare` knows runs with other workers
        shutil.copytree(run / ".hydra", folder / ".hydra")
    log_to_file(folder)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train.py does, before torch is loaded
    from birdnet_nl.runs.train import run as train

    train(cfg, folder)
    now = read_json(folder / METRICS)
    out = Console(highlight=False)
    figures, compared = differing_figures(before, now)
    if not figures:
        out.print(f"[bold green]identical[/]: all {compared} figures of {display_path(run)}", soft_wrap=True)
    else:
        out.print(
            f"[bold yellow]{len(figures)} of {compared} figures differ[/] from {display_path(run)}", soft_wrap=True
        )
        table = Table("figure", "before", "now", "difference")
        for name, old, new in figures:
            table.add_row(escape(name), _text(old), _text(new), _difference(old, new))
        out.print(table)
    changed = circumstances(before, now)
    for name, old, new in changed:
        out.print(f"{escape(name)}: {escape(str(old))} before, {escape(str(new))} now", soft_wrap=True)
    if figures and not changed:
        out.print("versions, code, recordings, engine and machine are the same: training is not repeatable here")


def new_folder(run: Path) -> Path:
    """`<run>-rerun1` or the next free number, with the mark of synthetic runs kept at the end."""
    mark = SYNTHETIC if run.name.endswith(SYNTHETIC) else ""
    stem = run.name.removesuffix(mark)
    number = 1
    while (folder := run.with_name(f"{stem}-rerun{number}{mark}")).exists():
        number += 1
    return folder


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else escape(str(value))


def _difference(old: object, new: object) -> str:
    return f"{new - old:+.3g}" if isinstance(old, int | float) and isinstance(new, int | float) else ""
