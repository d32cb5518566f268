"""`birdnet-nl prune`: remove files that can be made again; and the disk usage of `birdnet-nl status --disk`."""

import re
import time
from collections import defaultdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.util.console import display_path, output_console, progress_bar
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import user_path
from birdnet_nl.util.words import counted

if TYPE_CHECKING:
    from birdnet_nl.deploy.prune import DiskReport

UNITS_S = {"h": 3600.0, "d": 24 * 3600.0, "w": 7 * 24 * 3600.0}
UNITS_BYTES = {"mb": 1e6, "gb": 1e9, "tb": 1e12}


def prune_command(
    older_than: Annotated[str, typer.Option(help="Caches unused for so long, such as 30d, 12h or 4w.")] = "30d",
    cache_size: Annotated[str, typer.Option(help="Keep the caches below this, such as 5GB.")] = "",
    runs: Annotated[bool, typer.Option("--runs", help="Also last.ckpt and large plots of finished runs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it only shown.")] = False,
    logs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("logs"),
    cache: Annotated[Path, typer.Option(envvar="BIRDNET_NL_CACHE", help="Folder of the caches.")] = Path("cache"),
) -> None:
    """Remove mels, demo and remote recordings that have not been used for a while; they are made again when needed.

    Safe beside running sweeps: files used within the last day stay, and so does every unfinished run.

    Example: birdnet-nl prune --older-than 14d --cache-size 20GB --runs --yes
    """
    from birdnet_nl.deploy.prune import removable_caches, removable_run_files, remove

    age_s = parse_quantity(older_than, UNITS_S, "--older-than", "30d, 12h or 4w")
    keep_bytes = int(parse_quantity(cache_size, UNITS_BYTES, "--cache-size", "5GB or 500MB")) if cache_size else None
    logs, cache = user_path(logs), user_path(cache)
    with progress_bar() as bar:
        bar.add_task("reading folders", total=None)
        items = removable_caches(cache, age_s, keep_bytes, time.time())
        items += removable_run_files(logs) if runs else []
    out = output_console()
    if not items:
        out.print("nothing to remove" + ("" if runs else "; --runs includes finished runs"))
        return
    table = Table("can be made again", "number", "MB")
    sizes: dict[str, list[int]] = defaultdict(list)
    for item in items:
        sizes[item.kind].append(item.bytes)
    for kind, of_kind in sorted(sizes.items(), key=lambda item: -sum(item[1])):
        table.add_row(kind, str(len(of_kind)), _megabytes(sum(of_kind)))
    out.print(table)
    if not yes:
        out.print("nothing removed yet; add --yes to remove it", soft_wrap=True)
        return
    with progress_bar() as bar:
        task = bar.add_task("removing", total=len(items))
        freed, failed = remove(items, lambda: bar.advance(task))
    out.print(f"removed: {_megabytes(freed)} MB")
    if failed:
        raise DataError(f"{len(failed)} could not be removed, the first: {failed[0]}")


def parse_quantity(text: str, units: dict[str, float], option: str, examples: str) -> float:
    """Convert `30d` to seconds or `5GB` to bytes; raises `DataError` for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text.lower())
    if match is None or match[2] not in units:
        raise DataError(f"{option}={text} is not a valid quantity; write {examples}")
    return float(match[1]) * units[match[2]]


def print_disk_usage(out: Console, report: "DiskReport") -> None:
    """Print usage by kind, how much of it can be removed, and the largest runs."""
    table = Table("", "kind")
    for heading in ("files", "MB", "removable"):
        table.add_column(heading, justify="right")
    for place, usages in groupby(report.usages, key=lambda usage: usage.place):
        for usage in sorted(usages, key=lambda usage: -usage.bytes):
            removable = _megabytes(usage.removable) if usage.removable else ""
            table.add_row(place, escape(usage.kind), str(usage.files), _megabytes(usage.bytes), removable)
            place = ""
        table.add_section()
    totals = [sum(getattr(usage, name) for usage in report.usages) for name in ("files", "bytes", "removable")]
    table.add_row("[bold]all[/]", "", str(totals[0]), *map(_megabytes, totals[1:]))
    out.print(table)
    if report.runs:
        count = f"{counted(report.runs, 'run')} ({report.finished} finished)"
        count += f", {report.bytes_per_run / 1e6:.1f} MB each on average"
        largest = ", ".join(f"{display_path(folder)} {size / 1e6:.1f} MB" for folder, size in report.largest[:3])
        out.print(f"{count}; largest: {largest}", soft_wrap=True)
    out.print(f"{report.free / 1e9:.1f} GB free; birdnet-nl prune --runs lists the removable files", soft_wrap=True)


def disk_values(report: "DiskReport") -> dict[str, Any]:
    """Return the report as plain values for JSON; sizes in bytes."""
    values = {name: getattr(report, name) for name in ("runs", "finished", "bytes_per_run", "free")}
    largest = {str(folder): size for folder, size in report.largest}
    return {"usages": [vars(usage) for usage in report.usages], **values, "largest": largest}


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}"
