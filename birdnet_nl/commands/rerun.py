"""`birdnet-nl rerun`: repeat a finished run and compare the metrics."""

import os
import shutil
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.data.sources import SYNTHETIC
from birdnet_nl.recordings.remote import is_url
from birdnet_nl.util.console import display_path, output_console
from birdnet_nl.util.errors import DataError, RunError, require_extra
from birdnet_nl.util.files import user_path

METRICS_KEYS = ("validation", "epochs", "best_epoch", "results", "calibration", "decision", "controls")
CONDITION_KEYS = ("birdnet_nl", "versions", "git_commit", "data_fingerprint", "test_fingerprint", "machine", "engine")
ABSENT = "absent"

Difference = tuple[str, Any, Any]  # name such as results/recording/macro_f1, value before, value now


def rerun_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    data: Annotated[Path | None, typer.Option(help="Folder of the recordings, if it was moved since.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder of the caches, if not that of the run.")] = None,
) -> None:
    """Repeat a finished run with its own configuration, in a new folder beside it, and list every difference.

    Example: birdnet-nl rerun logs/fast/koolmees/2026-11-23_17-34-57
    """
    from birdnet_nl.util.run_directory import CONFIG, METRICS, change_folder, log_to_file, read_config, read_json

    run = user_path(run).resolve()
    for name in (CONFIG, METRICS):
        if not (run / name).is_file():
            raise RunError(f"{run} holds no {name}, so it is not a finished run; give the folder of a finished run")
    require_extra("torch", "train")
    before, cfg = read_json(run / METRICS), read_config(run)
    for key, path in (("data.root", data), ("paths.cache", cache)):
        if path is not None:
            change_folder(cfg, key, str(user_path(path)))
    if cfg.data.root and not is_url(cfg.data.root) and not Path(cfg.data.root).is_dir():
        raise DataError(
            f"{cfg.data.root}, the recordings of {run.name}, is not a folder; give its new place with --data"
        )
    folder = new_folder(run)
    folder.mkdir(parents=True)
    if (run / ".hydra").is_dir():  # the overrides, by which `birdnet-nl compare` recognises other worker settings
        shutil.copytree(run / ".hydra", folder / ".hydra")
    log_to_file(folder)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in train.py, before torch is loaded
    from birdnet_nl.runs.train import run as train

    train(cfg, folder)
    print_differences(output_console(), run, before, read_json(folder / METRICS))


def print_differences(out: Console, run: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    metrics, compared = differing_metrics(before, now)
    if not metrics:
        out.print(f"[bold green]identical[/]: all {compared} metrics of {display_path(run)}", soft_wrap=True)
    else:
        differing = f"{len(metrics)} of {compared} metrics differ"
        out.print(f"[bold yellow]{differing}[/] from {display_path(run)}", soft_wrap=True)
        table = Table("metric", "before", "now", "difference")
        for name, old, new in metrics:
            table.add_row(escape(name), _format(old), _format(new), _format_difference(old, new))
        out.print(table)
    conditions = differing_conditions(before, now)
    for name, old, new in conditions:
        out.print(f"{escape(name)}: {escape(str(old))} before, {escape(str(new))} now", soft_wrap=True)
    if metrics and not conditions:
        out.print("versions, code, recordings, engine and machine are the same: training is not reproducible here")


def new_folder(run: Path) -> Path:
    """Return `<run>-rerun1` or the next free number; the mark of synthetic runs stays at the end."""
    mark = SYNTHETIC if run.name.endswith(SYNTHETIC) else ""
    stem = run.name.removesuffix(mark)
    folders = (run.with_name(f"{stem}-rerun{number}{mark}") for number in count(1))
    return next(folder for folder in folders if not folder.exists())


def differing_metrics(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[Difference], int]:
    """Return the metrics that are not exactly equal and the number compared; seconds and memory are not compared."""
    return _differences(before, now, METRICS_KEYS)


def differing_conditions(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Return differing versions, data or machines; entries missing in an older run do not count."""
    return [item for item in _differences(before, now, CONDITION_KEYS)[0] if ABSENT not in item[1:]]


def _differences(
    before: Mapping[str, Any], now: Mapping[str, Any], keys: tuple[str, ...]
) -> tuple[list[Difference], int]:
    old, new = (dict(leaf for key in keys for leaf in _leaves(key, report.get(key))) for report in (before, now))
    rows = [(name, old.get(name, ABSENT), new.get(name, ABSENT)) for name in old | new]
    return [row for row in rows if row[1] != row[2]], len(rows)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over single values with their path, such as `results/recording/confusion/0/1`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{name}/{key}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(f"{name}/{index}", inner)
    elif value is not None:
        yield name, value


def _format(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else escape(str(value))


def _format_difference(old: object, new: object) -> str:
    return f"{new - old:+.3g}" if isinstance(old, int | float) and isinstance(new, int | float) else ""
