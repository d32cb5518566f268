"""What a sweep says when it begins and when it ends."""

from collections import Counter
from collections.abc import Sequence

from rich.markup import escape

from birdnet_nl.sweep.job_file import State
from birdnet_nl.sweep.resume_plan import Settled, Step
from birdnet_nl.sweep.sweep_file import Sweep, resume_command
from birdnet_nl.sweep.table import UNWELL, Ledger, Row, count_states, group_reasons
from birdnet_nl.util.console import display_path, info, screen
from birdnet_nl.util.errors import RunError

NAMED = 8  # species of a reason; the others are counted


def print_start(sweep: Sweep, settled: Sequence[Settled]) -> None:
    steps = Counter(one.step for one in settled)
    parts = ", ".join(f"{count} {step}" for step, count in steps.items() if step != Step.BEGIN)
    info(
        f"[bold]sweep of {len(settled)} jobs[/]{f' ({parts})' if parts else ''} → {display_path(sweep.folder)}; "
        f"watch it with: birdnet-nl status {display_path(sweep.folder)}"
    )


def interrupted(sweep: Sweep) -> None:
    screen.print(f"the sweep goes on, without loss, by: {resume_command(sweep.folder)}", soft_wrap=True)


def finish(sweep: Sweep) -> None:
    """Count, group what failed by its reason, and raise `RunError` when something is left to be done."""
    rows = Ledger().rows(sweep.folder, sweep.jobs)
    states = count_states(rows)
    counts = ", ".join(f"{states[state]} {state}" for state in State if states[state])
    info(f"[bold]sweep ended:[/] {counts} → {display_path(sweep.folder)}")
    for title, wanted in (("too few recordings", (State.TOO_FEW,)), ("not finished", UNWELL)):
        groups = group_reasons([row for row in rows if row.state in wanted])
        for reason, found in groups:
            info(f"[bold]{title}, {len(found)}:[/] {escape(named(found))}: {escape(reason)}")
            if wanted == UNWELL:
                screen.print(f"  [dim]log: {display_path(found[0].log)}[/]", soft_wrap=True)
    left = sum(row.state not in (State.DONE, State.TOO_FEW) for row in rows)
    if left:
        elsewhere = f" ({states[State.RUNNING]} at work elsewhere)" if states[State.RUNNING] else ""
        raise RunError(
            f"{left} jobs of the sweep failed or are not finished{elsewhere}; try them again: "
            + resume_command(sweep.folder)
        )


def named(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(row.dutch for row in rows))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
