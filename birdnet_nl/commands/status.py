"""`birdnet-nl status`: how far a sweep is, what it has found, what failed and how to go on."""

import json
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from birdnet_nl.util.console import display_path, screen
from birdnet_nl.util.errors import DataError

REFRESH_S = 2.0


def status_command(
    folder: Annotated[
        Path, typer.Argument(help="The logs (then: the newest sweep), a sweep's folder, any runs.")
    ] = Path("logs"),
    json_: Annotated[bool, typer.Option("--json", help="Every job with all that is known, as JSON instead.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write one page that needs nothing from anywhere.")] = None,
    dutch: Annotated[bool, typer.Option("--dutch/--english", help="Names of the species.")] = True,
    once: Annotated[bool, typer.Option("--once", help="Do not refresh, also on a terminal.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Every job, not only those that say something new.")] = False,
    disk: Annotated[bool, typer.Option("--disk", help="What runs, caches and models occupy instead.")] = False,
    cache: Annotated[Path, typer.Option(envvar="BIRDNET_NL_CACHE", help="Folder of the caches, for --disk.")] = Path(
        "cache"
    ),
    models: Annotated[Path, typer.Option(help="Folder of the versions of models, for --disk.")] = Path("models"),
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make a lost sweep.json again from the runs.")] = False,
) -> None:
    """Show what has become of every job of a sweep.

    On a terminal the table refreshes until nothing runs any more. The exit code is 0 when all jobs are done (or have
    too few recordings), 1 when one failed or was broken off, 2 while jobs run.

    Example: birdnet-nl status --html status.html
    """
    if disk:
        _show_disk(folder, cache.expanduser(), models, json_)
        return
    from birdnet_nl.commands.status_tables import show_status
    from birdnet_nl.sweep.status import Watch, rebuild_sweep
    from birdnet_nl.sweep.table import exit_code

    language = "dutch" if dutch else "english"
    if rebuild:
        sweep = rebuild_sweep(folder)
        screen.print(f"{display_path(sweep.folder)}: {len(sweep.jobs)} jobs found again", soft_wrap=True)
    watch = Watch(folder)
    standing = watch.look()
    if not standing.rows:
        raise DataError(f"{folder} holds no runs; start some with python train.py")
    out = Console(highlight=False)
    if json_:
        typer.echo(json.dumps(as_json(standing), ensure_ascii=False, indent=1))
    elif out.is_terminal and not once:
        with Live(show_status(standing, language, all_), console=out, auto_refresh=False) as live:
            while exit_code(standing.rows, standing.at_work) == 2:
                time.sleep(REFRESH_S)
                standing = watch.look()
                live.update(show_status(standing, language, all_), refresh=True)
    else:
        out.print(show_status(standing, language, all_))
    if html:
        from birdnet_nl.commands.status_page import page_of
        from birdnet_nl.util.files import write_text_atomic

        write_text_atomic(html.expanduser(), page_of(standing, language))
        screen.print(f"The page is {display_path(html.expanduser())}", soft_wrap=True)
    raise typer.Exit(exit_code(standing.rows, standing.at_work))


def _show_disk(logs: Path, cache: Path, models: Path, json_: bool) -> None:
    from birdnet_nl.commands.disk_tables import disk_values, show_disk
    from birdnet_nl.deploy.disk_usage import measure_disk

    if json_:
        typer.echo(json.dumps(disk_values(measure_disk(logs, cache, models)), ensure_ascii=False, indent=1))
    else:
        show_disk(Console(highlight=False), logs, cache, models)


def as_json(standing: Any) -> dict[str, Any]:
    """Everything, with times as ISO 8601."""
    rows = []
    for row in standing.rows:
        values = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(row).items()}
        started = datetime.fromtimestamp(row.started).isoformat(timespec="seconds") if row.started else None
        rows.append(values | {"started": started, "state_dutch": row.state.dutch})
    sweep = standing.sweep
    return {
        "folder": str(standing.folder),
        "at_work": standing.at_work,
        "counts": dict(standing.counts),
        "seconds_left": standing.seconds_left,
        "arguments": list(sweep.arguments) if sweep else None,
        "started": datetime.fromtimestamp(sweep.started).isoformat(timespec="seconds") if sweep else None,
        "jobs": rows,
    }
