"""`birdnet-nl status`: progress of a sweep, its results, its failures and the command that resumes it."""

import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birdnet_nl.util.console import display_path, output_console, screen
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import user_path
from birdnet_nl.util.words import counted

if TYPE_CHECKING:
    from birdnet_nl.sweep.status import SweepStatus

REFRESH_S = 2.0


def status_command(
    folder: Annotated[
        Path, typer.Argument(help="The logs (then: the newest sweep), the folder of a sweep, or any runs.")
    ] = Path("logs"),
    json_: Annotated[bool, typer.Option("--json", help="Print every job with all details as JSON instead.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page that needs no network to this file.")] = None,
    dutch: Annotated[bool, typer.Option("--dutch/--english", help="Language of species and states.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Do not refresh, also on a terminal.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Every job, not only running, failed and recent ones.")] = False,
    disk: Annotated[bool, typer.Option("--disk", help="Disk usage of runs, caches and models instead.")] = False,
    cache: Annotated[Path, typer.Option(envvar="BIRDNET_NL_CACHE", help="Folder of the caches, for --disk.")] = Path(
        "cache"
    ),
    models: Annotated[Path, typer.Option(help="Folder of the versions of models, for --disk.")] = Path("models"),
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make a lost sweep.json again from the runs.")] = False,
) -> None:
    """Show the state of every job of a sweep.

    On a terminal the table refreshes until no job is running. The exit code is 0 when all jobs are done (or have too
    few recordings), 1 when one failed or was cancelled, 2 while jobs are running.

    Example: birdnet-nl status --html status.html
    """
    from birdnet_nl.commands.output import print_json, write_file

    out, folder = output_console(), user_path(folder)
    if disk:
        from birdnet_nl.commands.prune import disk_values, print_disk_usage
        from birdnet_nl.deploy.prune import measure_disk

        report = measure_disk(folder, user_path(cache), user_path(models))
        if json_:
            print_json(disk_values(report), indent=1)
        else:
            print_disk_usage(out, report)
        return
    from rich.live import Live

    from birdnet_nl.commands.status_report import continue_line, render_status, status_page
    from birdnet_nl.sweep.status import StatusReader, rebuild_sweep
    from birdnet_nl.sweep.table import exit_code

    language = "dutch" if dutch else "english"
    if rebuild:
        sweep = rebuild_sweep(folder)
        screen.print(f"{display_path(sweep.folder)}: {counted(len(sweep.jobs), 'job')} found again", soft_wrap=True)
    reader = StatusReader(folder)
    status = reader.read()
    if not status.rows:
        raise DataError(f"{folder} holds no runs; start some with python train.py")
    if json_:
        print_json(status_values(status), indent=1)
    elif out.is_terminal and not once:
        with Live(render_status(status, language, all_), console=out, auto_refresh=False) as live:
            while exit_code(status.rows, status.is_running) == 2:
                time.sleep(REFRESH_S)
                status = reader.read()
                live.update(render_status(status, language, all_), refresh=True)
    else:
        out.print(render_status(status, language, all_))
    if not json_ and (line := continue_line(status)):
        out.print(line, soft_wrap=True)
    if html:
        written = write_file(html, status_page(status, language), "--html")
        # on the same stream as the tables, so that lines cannot mix; beside JSON on stderr
        (screen if json_ else out).print(f"written: {display_path(written)}", soft_wrap=True)
    raise typer.Exit(exit_code(status.rows, status.is_running))


def status_values(status: "SweepStatus") -> dict[str, Any]:
    """Return everything as plain values for JSON, with times in ISO 8601."""

    def iso_time(seconds: float | None) -> str | None:
        return datetime.fromtimestamp(seconds).isoformat(timespec="seconds") if seconds else None

    rows = []
    for row in status.rows:
        values = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(row).items()}
        rows.append(values | {"started": iso_time(row.started), "state_dutch": row.state.dutch})
    sweep = status.sweep
    return {
        "folder": str(status.folder),
        "at_work": status.is_running,
        "counts": dict(status.counts),
        "seconds_left": status.seconds_left,
        "arguments": list(sweep.arguments) if sweep else None,
        "started": iso_time(sweep.started) if sweep else None,
        "jobs": rows,
    }
