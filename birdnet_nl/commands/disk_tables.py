"""What runs, caches and models occupy, as a table and as plain values."""

from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.deploy.disk_usage import DiskReport, measure_disk
from birdnet_nl.util.console import display_path

GB, MB = 1e9, 1e6


def show_disk(out: Console, logs: Path, cache: Path, models: Path) -> None:
    """Measure and print: by kind, the largest runs, what could go and how."""
    report = measure_disk(logs, cache, models)
    table = Table()
    for heading in ("", "kind", "files", "MB", "could go"):
        table.add_column(heading, justify="right" if heading in ("files", "MB", "could go") else "left")
    for place, usages in groupby(report.usages, key=lambda usage: usage.place):
        for index, usage in enumerate(sorted(usages, key=lambda usage: -usage.bytes)):
            table.add_row(
                place if index == 0 else "",
                escape(usage.kind),
                str(usage.files),
                megabytes(usage.bytes),
                megabytes(usage.removable) if usage.removable else "",
            )
        table.add_section()
    total, removable = (sum(getattr(usage, name) for usage in report.usages) for name in ("bytes", "removable"))
    table.add_row(
        "[bold]all[/]", "", str(sum(usage.files for usage in report.usages)), megabytes(total), megabytes(removable)
    )
    out.print(table)
    if report.runs:
        out.print(
            f"{report.runs} runs ({report.finished} finished), {report.per_run / MB:.1f} MB each on average; largest: "
            + ", ".join(f"{display_path(folder)} {size / MB:.1f} MB" for folder, size in report.largest[:3]),
            soft_wrap=True,
        )
    out.print(f"{report.free / GB:.1f} GB free; birdnet-nl prune --runs shows what could go", soft_wrap=True)


def megabytes(size: int) -> str:
    return f"{size / MB:,.1f}"


def disk_values(report: DiskReport) -> dict[str, Any]:
    """The report as plain values, for JSON; sizes in bytes."""
    return {
        "usages": [vars(usage) for usage in report.usages],
        "runs": report.runs,
        "finished": report.finished,
        "bytes_per_run": report.per_run,
        "largest": {str(folder): size for folder, size in report.largest},
        "free": report.free,
    }
