"""A sweep's standing on the screen: progress, what runs, what was found, what failed and why."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from birdnet_nl.sweep.job_file import State
from birdnet_nl.sweep.progress import in_words
from birdnet_nl.sweep.status import Standing
from birdnet_nl.sweep.sweep_file import resume_command
from birdnet_nl.sweep.table import UNWELL, Row, group_reasons
from birdnet_nl.util.console import display_path

COLOURS = {
    State.WAITING: "dim",
    State.RUNNING: "cyan",
    State.DONE: "green",
    State.FAILED: "bold red",
    State.TOO_FEW: "yellow",
    State.CANCELLED: "magenta",
}
MAX_ROWS = 30  # of a table without --all
EXTREMES = 5  # best and worst species
NAMED = 10  # species of one reason


def show_status(standing: Standing, language: str, everything: bool = False) -> RenderableType:
    """`language` is that of species and states: `dutch` or `english`."""
    parts: list[RenderableType] = [_headline(standing, language), _progress(standing)]
    parts.append(_table(_chosen(standing.rows, everything), language))
    if not everything and len(standing.rows) > MAX_ROWS:
        parts.append(Text("finished and waiting jobs are left out; --all shows them", style="dim"))
    parts += _extremes(standing, language)
    parts.append(_coverage(standing))
    parts += _troubles(standing, language)
    return Group(*parts)


def state_name(state: State, language: str) -> str:
    return state.dutch if language == "dutch" else str(state)


def _headline(standing: Standing, language: str) -> Text:
    counts = standing.counts
    text = Text.assemble((display_path(standing.folder), "bold"), f": {len(standing.rows)} jobs")
    for state in State:
        if counts[state]:
            text.append(", ").append(f"{counts[state]} {state_name(state, language)}", style=COLOURS[state])
    if any(row.synthetic for row in standing.rows):
        text.append("   SYNTHETIC demo recordings: figures say nothing about birds", style="black on yellow")
    return text


def _progress(standing: Standing) -> Table:
    grid = Table.grid(padding=(0, 1))
    left = standing.seconds_left
    at_work = "" if standing.at_work else "nothing runs"
    grid.add_row(
        ProgressBar(total=len(standing.rows), completed=standing.ended, width=40),
        f"{standing.ended}/{len(standing.rows)}",
        f"about {in_words(left)} to go" if left else at_work,
    )
    return grid


def _chosen(rows: Sequence[Row], everything: bool) -> list[Row]:
    """All of a small sweep; of a large one what runs, what failed, and what ended last."""
    if everything or len(rows) <= MAX_ROWS:
        return list(rows)
    telling = [row for row in rows if row.state in (State.RUNNING, State.FAILED, State.CANCELLED)]
    done = sorted((row for row in rows if row.state == State.DONE), key=lambda row: -(row.started or 0))
    room = max(0, MAX_ROWS - len(telling))
    return [*telling[:MAX_ROWS], *done[: min(room, 10)]]


def _table(rows: Sequence[Row], language: str) -> Table:
    settings, several_hosts = any(row.settings for row in rows), len({row.host for row in rows if row.host}) > 1
    table = Table("soort" if language == "dutch" else "species", "set")
    if settings:
        table.add_column("with")
    for name in ("state", "balanced accuracy", "seconds", "tries"):
        table.add_column(name, justify="left" if name == "state" else "right")
    if several_hosts:
        table.add_column("machine")
    for row in rows:
        state = state_name(row.state, language)
        if row.epoch:
            state += f", epoch {row.epoch[0]}/{row.epoch[1]}"
        cells = [escape(row.name(language)), row.parameter_set]
        cells += [escape(row.settings)] if settings else []
        seconds = f"{row.seconds:.0f}" if row.seconds is not None else ""
        cells += [f"[{COLOURS[row.state]}]{state}[/]", escape(row.figure_text), seconds, str(row.attempts or "")]
        table.add_row(*cells, *([row.host] if several_hosts else []))
    return table


def _extremes(standing: Standing, language: str) -> list[Text]:
    ranked = standing.ranked()
    if len(ranked) < 2:
        return []

    def line(title: str, rows: Sequence[Row]) -> Text:
        named = ", ".join(f"{row.name(language)} {row.figure:.0%}" for row in rows)
        return Text.assemble((f"{title}: ", "bold"), named)

    count = min(EXTREMES, len(ranked) // 2)
    middle = ranked[len(ranked) // 2].figure
    return [
        line("best", ranked[:count]),
        line("worst", ranked[: -count - 1 : -1]),
        Text(f"middle of {len(ranked)}: {middle:.0%} (balanced accuracy per test recording)", style="dim"),
    ]


def _coverage(standing: Standing) -> Text:
    parts = [f"priority {priority} {done}/{total}" for priority, (done, total) in standing.coverage().items()]
    return Text.assemble(("species done: ", "bold"), ", ".join(parts))


def _troubles(standing: Standing, language: str) -> list[Text]:
    lines = []
    for title, states, colour in (
        ("too few recordings", (State.TOO_FEW,), "yellow"),
        ("not finished", UNWELL, "bold red"),
    ):
        for reason, rows in group_reasons([row for row in standing.rows if row.state in states]):
            names = list(dict.fromkeys(row.name(language) for row in rows))
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            lines.append(Text.assemble((f"{len(rows)} × {title}: ", colour), reason))
            lines.append(Text(f"    {', '.join(names[:NAMED])}{more}; log: {display_path(rows[0].log)}", style="dim"))
    left = any(row.state in (*UNWELL, State.WAITING) for row in standing.rows)
    if left and standing.sweep is not None and not standing.at_work:
        lines.append(Text.assemble(("go on with what is left: ", "bold"), resume_command(standing.folder)))
    return lines
