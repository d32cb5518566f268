"""Page of `birdnet-nl status --html`: the state of a sweep in one file that needs no network; its table sorts."""

import time

from birdnet_nl.commands.pages import render_page
from birdnet_nl.commands.status_tables import MAX_RANKED, state_name
from birdnet_nl.sweep.job_file import State
from birdnet_nl.sweep.progress import format_duration
from birdnet_nl.sweep.status import SweepStatus
from birdnet_nl.sweep.sweep_file import resume_command
from birdnet_nl.sweep.table import UNSUCCESSFUL, group_failures

COLOURS = {  # names of colours in the template
    State.DONE: "done",
    State.RUNNING: "running",
    State.FAILED: "failed",
    State.TOO_FEW: "few",
    State.CANCELLED: "cancelled",
    State.WAITING: "waiting",
}


def status_page(status: SweepStatus, language: str) -> str:
    """Render the page; `language` of species and states is `dutch` or `english`."""
    counts = status.counts
    states = [state for state in COLOURS if counts[state]]
    tiles = [(counts[state], state_name(state, language)) for state in states]
    tiles += [(f"{done}/{total}", f"priority {priority}") for priority, (done, total) in status.coverage().items()]
    if status.seconds_left:
        tiles.append((format_duration(status.seconds_left), "to go"))
    ranked = status.ranked()
    count = min(MAX_RANKED, len(ranked) // 2)
    failures = group_failures([row for row in status.rows if row.state in (State.TOO_FEW, *UNSUCCESSFUL)])
    return render_page(
        "status",
        title=status.folder.name,
        language="nl" if language == "dutch" else "en",
        time=time.strftime("%Y-%m-%d %H:%M:%S"),
        rows=status.rows,
        synthetic=any(row.synthetic for row in status.rows),
        colours=COLOURS,
        bar=[(COLOURS[state], counts[state], state_name(state, language)) for state in states],
        tiles_of_states=tiles,
        ranked=[("best", ranked[:count]), ("worst", ranked[: -count - 1 : -1])] if count else [],
        failures=failures,
        resume_command=resume_command(status.folder) if status.sweep else "",
        species_heading="soort" if language == "dutch" else "species",
        species_name=lambda row: row.name(language),
        names_of=lambda rows: dict.fromkeys(row.name(language) for row in rows),
        state_name=lambda state: state_name(state, language),
    )
