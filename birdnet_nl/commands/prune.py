"""`birdnet-nl prune`: remove what can be made again, also while sweeps run."""

import re
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from birdnet_nl.commands.disk_tables import megabytes
from birdnet_nl.util.console import progress_bar
from birdnet_nl.util.errors import DataError

UNITS_S = {"h": 3600.0, "d": 24 * 3600.0, "w": 7 * 24 * 3600.0}
UNITS_BYTES = {"mb": 1e6, "gb": 1e9, "tb": 1e12}


def prune_command(
    older_than: Annotated[str, typer.Option(help="Caches not used for so long, such as 30d, 12h or 4w.")] = "30d",
    cache_size: Annotated[str, typer.Option(help="Keep the caches below this, such as 5GB.")] = "",
    runs: Annotated[bool, typer.Option("--runs", help="Also last.ckpt and large pictures of finished runs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it only shown.")] = False,
    logs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("logs"),
    cache: Annotated[Path, typer.Option(envvar="BIRDNET_NL_CACHE", help="Folder of the caches.")] = Path("cache"),
) -> None:
    """Remove mels, demo and remote recordings that were not used for a while; they are made again when needed.

    Safe while sweeps run: whatever was used in the last day stays, and so does every run that is not finished.

    Example: birdnet-nl prune --older-than 14d --cache-size 20GB --runs --yes
    """
    from birdnet_nl.deploy.prune import remove, spare_caches, spare_run_files

    age_s = parse_quantity(older_than, UNITS_S, "--older-than", "30d, 12h or 4w")
    most = parse_quantity(cache_size, UNITS_BYTES, "--cache-size", "5GB or 500MB") if cache_size else None
    logs, cache = logs.expanduser(), cache.expanduser()
    with progress_bar() as bar:
        bar.add_task("looking", total=None)
        spares = spare_caches(cache, age_s, None if most is None else int(most), time.time())
        spares += spare_run_files(logs) if runs else []
    out = Console(highlight=False)
    if not spares:
        out.print("nothing to remove" + ("" if runs else "; --runs looks at finished runs too"))
        return
    table = Table("what can be made again", "number", "MB")
    sizes, counts = Counter(), Counter(spare.kind for spare in spares)
    for spare in spares:
        sizes[spare.kind] += spare.bytes
    for kind, size in sizes.most_common():
        table.add_row(kind, str(counts[kind]), megabytes(size))
    out.print(table)
    if not yes:
        out.print("nothing removed yet; the same with --yes does it", soft_wrap=True)
        return
    with progress_bar() as bar:
        task = bar.add_task("removing", total=len(spares))
        freed, failed = remove(spares, lambda: bar.advance(task))
    out.print(f"removed: {megabytes(freed)} MB")
    if failed:
        raise DataError(f"{len(failed)} could not be removed, the first: {failed[0]}")


def parse_quantity(text: str, units: dict[str, float], option: str, examples: str) -> float:
    """`30d` in seconds, `5GB` in bytes; raises `DataError` for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text.lower())
    if match is None or match[2] not in units:
        raise DataError(f"{option}={text} is not understood; write {examples}")
    return float(match[1]) * units[match[2]]
