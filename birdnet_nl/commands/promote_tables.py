"""What `birdnet-nl promote` says on the screen."""

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.comparison.finished_runs import FoundRuns
from birdnet_nl.deploy.promotion import KEPT, UNCHANGED, WORSE, Decision, Promotion, validation_now
from birdnet_nl.deploy.versions import Version, active_version, all_versions
from birdnet_nl.util.console import display_path

COLOURS = {"new": "green", "better": "green", "worse": "bold red", "not comparable": "yellow"}
MAX_LISTED = 8


def show_promotion(out: Console, promotion: Promotion, found: FoundRuns) -> None:
    """A row for each model that is new or was refused; the others are counted."""
    base = promotion.base.name if promotion.base else None
    table = Table(title=f"compared with version {base}" if base else "the first version: nothing to compare with")
    for heading in ("species", "verdict", "", "validation", "test [95 %]", "parameter set"):
        table.add_column(escape(heading), justify="right" if heading.startswith(("val", "test")) else "left")
    told = [one for one in promotion.decisions.values() if one.verdict not in (UNCHANGED, KEPT)]
    for decision in told:
        table.add_row(*_row(decision))
    if told:
        out.print(table)
    counts = Counter(decision.verdict for decision in promotion.decisions.values())
    out.print(", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()), soft_wrap=True)
    _warn_of_worse(out, promotion)
    if any(_taken_synthetic(decision) for decision in promotion.decisions.values()):
        out.print("[bold black on yellow] SYNTHETIC models among them: they know no real birds [/]", soft_wrap=True)
    for left in promotion.left_out[:MAX_LISTED]:
        out.print(f"[dim]left out: {escape(display_path(Path(left.what)))}: {escape(left.reason)}[/]", soft_wrap=True)
    more = len(promotion.left_out) - MAX_LISTED
    if more > 0:
        out.print(f"[dim]and {more} other runs left out[/]", soft_wrap=True)
    for folder, reason in found.broken[:MAX_LISTED]:
        out.print(f"[yellow]{escape(display_path(folder))}: {escape(reason)}[/]", soft_wrap=True)
    if found.unfinished:
        out.print(f"[yellow]{len(found.unfinished)} unfinished runs are not looked at[/]", soft_wrap=True)


def _row(decision: Decision) -> tuple[str, ...]:
    run = decision.run
    low, high = (run.scores.get("intervals") or {}).get("balanced_accuracy") or (None, None)
    span = f" [{100 * low:.0f}–{100 * high:.0f}]" if low is not None and high is not None else ""
    colour = COLOURS.get(decision.verdict, "default")
    return (
        escape(run.dutch),
        f"[{colour}]{decision.verdict}[/]",
        escape(decision.reason),
        f"{validation_now(decision):.0%}",
        escape(f"{run.scores['balanced_accuracy']:.0%}{span}") if decision.takes_run else "stays as it was",
        escape(run.parameter_set),
    )


def _warn_of_worse(out: Console, promotion: Promotion) -> None:
    worse = [decision for decision in promotion.decisions.values() if decision.verdict == WORSE]
    if not worse:
        return
    named = ", ".join(decision.run.dutch for decision in worse)
    if any(decision.takes_run for decision in worse):
        out.print(f"[bold red]worse than before, and taken all the same: {escape(named)}[/]", soft_wrap=True)
    else:
        out.print(
            f"[bold red]worse than before, so the model before stays: {escape(named)}[/]; --accept-worse takes the new",
            soft_wrap=True,
        )


def _taken_synthetic(decision: Decision) -> bool:
    return decision.run.synthetic if decision.takes_run else decision.before["synthetic"]


def show_versions(out: Console, models: Path) -> None:
    versions, active = all_versions(models), active_version(models)
    if not versions:
        out.print(
            f"no versions in {display_path(models)} yet; birdnet-nl promote logs/sweep-… --version 2026Q4 makes one"
        )
        return
    table = Table()
    for heading in ("version", "", "made", "models", "new in it", "test, mean", "MB", "licences"):
        table.add_column(heading, justify="right" if heading in ("models", "new in it", "test, mean", "MB") else "left")
    for version in versions:
        table.add_row(*_version_row(version, bool(active) and version.name == active.name))
    out.print(table)


def _version_row(version: Version, is_active: bool) -> tuple[str, ...]:
    entries = version.models.values()
    tests = [entry["test"]["balanced_accuracy"] for entry in entries]
    licences = Counter()
    for entry in entries:
        licences.update(entry["licences"])
    marks = {"[bold green]active[/]": is_active, "[yellow]synthetic[/]": version.manifest["synthetic"]}
    return (
        escape(version.name),
        " ".join(mark for mark, applies in marks.items() if applies),
        version.manifest["made"][:10],
        str(len(entries)),
        str(sum(entry["since"] == version.name for entry in entries)),
        f"{sum(tests) / len(tests):.0%}",
        f"{sum(entry['bytes'] for entry in entries) / 1e6:.0f}",
        escape(", ".join(name for name, _ in licences.most_common(3))),
    )
