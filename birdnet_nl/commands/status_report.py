"""Report of `birdnet-nl status`, in the terminal and as a page: progress, states, results and failures of a sweep."""

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from birdnet_nl.commands.curve_section import curve_sections
from birdnet_nl.commands.output import render_page
from birdnet_nl.sweep.job_file import State
from birdnet_nl.sweep.status import SweepStatus
from birdnet_nl.sweep.sweep_file import resume_command
from birdnet_nl.sweep.table import UNSUCCESSFUL, Row, format_duration, group_failures
from birdnet_nl.util.printed_commands import short_path
from birdnet_nl.util.words import counted

COLOURS = {
    State.WAITING: "dim",
    State.RUNNING: "cyan",
    State.DONE: "green",
    State.FAILED: "bold red",
    State.TOO_FEW: "yellow",
    State.CANCELLED: "magenta",
}
PAGE_COLOURS = {  # names of colours in the template, in the order of the page
    State.DONE: "done",
    State.RUNNING: "running",
    State.FAILED: "failed",
    State.TOO_FEW: "few",
    State.CANCELLED: "cancelled",
    State.WAITING: "waiting",
}
MAX_ROWS = 30  # of a table without --all
MAX_RECENT = 10  # finished jobs in such a table
MAX_RANKED = 5  # best and worst species
MAX_NAMES = 10  # species with the same reason


def render_status(status: SweepStatus, language: str, all_jobs: bool = False) -> RenderableType:
    """Return the tables for the terminal; `language` of species and states is `dutch` or `english`."""
    rows = status.rows if all_jobs else _choose_rows(status.rows)
    parts: list[RenderableType] = [_headline(status, language), _progress(status), _table(rows, language)]
    if not all_jobs and len(status.rows) > MAX_ROWS:
        parts.append(Text("finished and waiting jobs are left out; --all shows them", style="dim"))
    parts += _best_and_worst(status, language)
    coverage = ", ".join(f"priority {priority} {done}/{total}" for priority, (done, total) in status.coverage().items())
    if coverage:
        parts.append(Text.assemble(("species done: ", "bold"), coverage))
    return Group(*parts, *_failures(status, language))


def status_page(status: SweepStatus, language: str) -> str:
    """Render the page; `language` of species and states is `dutch` or `english`."""
    counts = status.counts
    states = [state for state in PAGE_COLOURS if counts[state]]
    tiles = [(counts[state], _state_name(state, language)) for state in states]
    tiles += [(f"{done}/{total}", f"priority {priority}") for priority, (done, total) in status.coverage().items()]
    if status.seconds_left:
        tiles.append((format_duration(status.seconds_left), "to go"))
    return render_page(
        "status",
        title=status.folder.name,
        language="nl" if language == "dutch" else "en",
        time=time.strftime("%Y-%m-%d %H:%M:%S"),
        rows=status.rows,
        synthetic=any(row.synthetic for row in status.rows),
        colours=PAGE_COLOURS,
        bar=[(PAGE_COLOURS[state], counts[state], _state_name(state, language)) for state in states],
        tiles_of_states=tiles,
        ranked=_rank(status),
        failures=group_failures([row for row in status.rows if row.state in (State.TOO_FEW, *UNSUCCESSFUL)]),
        curves=curve_sections(
            status.folder.parent if status.sweep else status.folder, {row.species for row in status.rows}
        ),
        resume_command=resume_command(status.folder) if status.sweep else "",
        species_heading=_species_heading(language),
        species_name=lambda row: row.name(language),
        names_of=lambda rows: dict.fromkeys(row.name(language) for row in rows),
        state_name=lambda state: _state_name(state, language),
    )


def _state_name(state: State, language: str) -> str:
    return state.dutch if language == "dutch" else str(state)


def _species_heading(language: str) -> str:
    return "soort" if language == "dutch" else "species"


def _rank(status: SweepStatus) -> list[tuple[str, list[Row]]]:
    """Return the best and the worst jobs; empty with fewer than two finished ones."""
    ranked = status.ranked()
    count = min(MAX_RANKED, len(ranked) // 2)
    return [("best", ranked[:count]), ("worst", ranked[: -count - 1 : -1])] if count else []


def _headline(status: SweepStatus, language: str) -> Text:
    text = Text.assemble((short_path(status.folder), "bold"), f": {counted(len(status.rows), 'job')}")
    for state in State:
        if count := status.counts[state]:
            text.append(", ").append(f"{count} {_state_name(state, language)}", style=COLOURS[state])
    if any(row.synthetic for row in status.rows):
        text.append("   SYNTHETIC demo recordings: metrics do not apply to real birds", style="black on yellow")
    return text


def _progress(status: SweepStatus) -> Table:
    grid = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=len(status.rows), completed=status.ended, width=40)
    idle = "" if status.is_running else "no job is running"
    left = f"about {format_duration(status.seconds_left)} to go" if status.seconds_left else idle
    grid.add_row(bar, f"{status.ended}/{len(status.rows)}", left)
    return grid


def _choose_rows(rows: Sequence[Row]) -> Sequence[Row]:
    """Return all rows of a small sweep; of a large one the running, the failed and the last finished jobs."""
    if len(rows) <= MAX_ROWS:
        return rows
    notable = [row for row in rows if row.state in (State.RUNNING, State.FAILED, State.CANCELLED)]
    done = sorted((row for row in rows if row.state == State.DONE), key=lambda row: -(row.started or 0))
    room = max(0, MAX_ROWS - len(notable))
    return [*notable[:MAX_ROWS], *done[: min(room, MAX_RECENT)]]


def _table(rows: Sequence[Row], language: str) -> Table:
    has_settings, many_hosts = any(row.settings for row in rows), len({row.host for row in rows if row.host}) > 1
    table = Table(_species_heading(language), "set")
    if has_settings:
        table.add_column("with")
    for name in ("state", "balanced accuracy", "seconds", "tries"):
        table.add_column(name, justify="left" if name == "state" else "right")
    if many_hosts:
        table.add_column("machine")
    for row in rows:
        state = _state_name(row.state, language)
        if row.epoch:
            state += f", epoch {row.epoch[0]}/{row.epoch[1]}"
        cells = [escape(row.name(language)), row.parameter_set]
        cells += [escape(row.settings)] if has_settings else []
        seconds = f"{row.seconds:.0f}" if row.seconds is not None else ""
        cells += [f"[{COLOURS[row.state]}]{state}[/]", escape(row.accuracy_text), seconds, str(row.attempts or "")]
        table.add_row(*cells, *([row.host] if many_hosts else []))
    return table


def _best_and_worst(status: SweepStatus, language: str) -> list[Text]:
    lines = []
    for label, rows in _rank(status):
        names = ", ".join(f"{row.name(language)} {row.balanced_accuracy:.0%}" for row in rows)
        lines.append(Text.assemble((f"{label}: ", "bold"), names))
    if lines:
        ranked = status.ranked()
        median = ranked[len(ranked) // 2].balanced_accuracy
        text = f"median of {len(ranked)}: {median:.0%} (balanced accuracy per test recording)"
        lines.append(Text(text, style="dim"))
    return lines


def _failures(status: SweepStatus, language: str) -> list[Text]:
    lines = []
    for title, states, colour in (
        ("too few recordings", (State.TOO_FEW,), "yellow"),
        ("not finished", UNSUCCESSFUL, "bold red"),
    ):
        for reason, rows in group_failures([row for row in status.rows if row.state in states]):
            names = list(dict.fromkeys(row.name(language) for row in rows))
            more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
            log = short_path(rows[0].log)
            lines.append(Text.assemble((f"{len(rows)} × {title}: ", colour), reason))
            lines.append(Text(f"    {', '.join(names[:MAX_NAMES])}{more}; log: {log}", style="dim"))
    return lines


def continue_line(status: SweepStatus) -> Text | None:
    """Return the command that continues a sweep; None for a running or finished one. To be printed without wrapping."""
    unfinished = any(row.state in (*UNSUCCESSFUL, State.WAITING) for row in status.rows)
    if not unfinished or status.sweep is None or status.is_running:
        return None
    return Text.assemble(("continue with: ", "bold"), resume_command(status.folder))
