"""`birdnet-nl promote`: make a version of models from finished runs, and choose the version in use."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.util.console import display_path, output_console, progress_bar
from birdnet_nl.util.errors import DataError, require_extra
from birdnet_nl.util.files import user_path
from birdnet_nl.util.words import counted

if TYPE_CHECKING:
    from birdnet_nl.comparison.finished_runs import FoundRuns
    from birdnet_nl.deploy.promotion import Decision, Promotion
    from birdnet_nl.deploy.versions import Version

COLOURS = {"new": "green", "better": "green", "worse": "bold red", "not comparable": "yellow"}
MAX_LISTED = 8


def promote_command(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="Sweeps or runs, such as logs/sweep-….")
    ] = None,
    version: Annotated[str, typer.Option(help="Name of the new version, such as 2026Q4.")] = "",
    models: Annotated[Path, typer.Option(help="Folder of the versions.")] = Path("models"),
    no_activate: Annotated[bool, typer.Option("--no-activate", help="Leave the active version as it is.")] = False,
    allow_synthetic: Annotated[
        bool, typer.Option("--allow-synthetic", help="Also networks trained on demo recordings, to try things out.")
    ] = False,
    accept_worse: Annotated[
        bool, typer.Option("--accept-worse", help="Take the new network also where it is the worse one.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the existing versions.")] = False,
    activate: Annotated[str, typer.Option(metavar="VERSION", help="Use an existing version, e.g. to go back.")] = "",
) -> None:
    """Collect the best run of each species, by validation, as a version of models.

    A model of the active version stays where it predicts the same test recordings better. Species without a new run
    keep their model, so that a version is complete. Versions never change; one of them is active.

    Example: birdnet-nl promote logs/sweep-2026-11-25_10-00-00 --version 2026Q4
    """
    from birdnet_nl.deploy import versions

    out, models = output_console(), user_path(models)
    if list_ or activate:
        if folders or version:
            raise DataError("--list and --activate go without folders and --version; give one thing at a time")
        if activate:
            active = versions.activate(models, activate)
            out.print(f"active: version [bold]{active.name}[/], {counted(len(active.models), 'model')}", soft_wrap=True)
        else:
            print_versions(out, models)
        return
    if not folders or not version:
        raise DataError(
            "give the runs and a name: birdnet-nl promote logs/sweep-… --version 2026Q4; --list shows the existing ones"
        )
    try:
        versions.check_version_name(version)
    except ValueError as error:
        raise DataError(str(error)) from None
    require_extra("torch", "train")
    from birdnet_nl.comparison.finished_runs import find_runs
    from birdnet_nl.deploy.new_version import make_version
    from birdnet_nl.deploy.promotion import plan_promotion

    base = versions.base_version(models, version)
    with progress_bar() as bar:
        bar.add_task("reading runs", total=None)
        tops = [user_path(folder) for folder in folders]
        found = find_runs(tops)
        if not found.runs:
            others = f" ({len(found.unfinished)} unfinished)" if found.unfinished else ""
            raise DataError(f"no finished runs below {', '.join(map(str, tops))}{others}; train first")
        promotion = plan_promotion(found.runs, base, allow_synthetic, accept_worse)
        task = bar.add_task("collecting models", total=len(promotion.decisions))
        made, is_new = make_version(models, version, promotion, lambda: bar.advance(task))
    print_promotion(out, promotion, found)
    same = "" if is_new else ": exists already, the same"
    out.print(f"[bold]{display_path(made.folder)}[/]{same}", soft_wrap=True)
    if no_activate:
        out.print(f"not active; birdnet-nl promote --activate {version} activates it", soft_wrap=True)
    else:
        versions.activate(models, version)
        out.print(f"active: version [bold]{version}[/]", soft_wrap=True)


def print_promotion(out: Console, promotion: "Promotion", found: "FoundRuns") -> None:
    """Print a row for each model that is new or was refused; the others are counted."""
    from birdnet_nl.deploy.promotion import KEPT, UNCHANGED, WORSE

    base = promotion.base.name if promotion.base else None
    table = Table(title=f"compared with version {base}" if base else "the first version: nothing to compare with")
    for heading in ("species", "verdict", "", "validation", "test [95 %]", "parameter set"):
        table.add_column(escape(heading), justify="right" if heading.startswith(("val", "test")) else "left")
    decisions = promotion.decisions.values()
    for decision in decisions:
        if decision.verdict not in (UNCHANGED, KEPT):
            table.add_row(*_decision_row(decision))
    if table.row_count:
        out.print(table)
    counts = Counter(decision.verdict for decision in decisions)
    out.print(", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()), soft_wrap=True)
    worse = [decision for decision in decisions if decision.verdict == WORSE]
    if worse:
        names = escape(", ".join(decision.run.dutch for decision in worse))
        taken = any(decision.takes_run for decision in worse)  # all of them, or none
        text = "and taken nevertheless" if taken else "so the old model stays"
        hint = "" if taken else "; --accept-worse takes the new one"
        out.print(f"[bold red]worse than before, {text}: {names}[/]{hint}", soft_wrap=True)
    if any((decision.run.synthetic if decision.takes_run else decision.before["synthetic"]) for decision in decisions):
        out.print("[bold black on yellow] SYNTHETIC models among them: not for real birds [/]", soft_wrap=True)
    for left_out in promotion.left_out[:MAX_LISTED]:
        folder = escape(display_path(Path(left_out.what)))
        out.print(f"[dim]left out: {folder}: {escape(left_out.reason)}[/]", soft_wrap=True)
    if len(promotion.left_out) > MAX_LISTED:
        out.print(f"[dim]and {len(promotion.left_out) - MAX_LISTED} other runs left out[/]", soft_wrap=True)
    for folder, reason in found.broken[:MAX_LISTED]:
        out.print(f"[yellow]{escape(display_path(folder))}: {escape(reason)}[/]", soft_wrap=True)
    if found.unfinished:
        out.print(f"[yellow]{len(found.unfinished)} unfinished runs were skipped[/]", soft_wrap=True)


def _decision_row(decision: "Decision") -> tuple[str, ...]:
    run = decision.run
    low, high = (run.scores.get("intervals") or {}).get("balanced_accuracy") or (None, None)
    interval = f" [{100 * low:.0f}–{100 * high:.0f}]" if low is not None and high is not None else ""
    colour = COLOURS.get(decision.verdict, "default")
    return (
        escape(run.dutch),
        f"[{colour}]{decision.verdict}[/]",
        escape(decision.reason),
        f"{decision.validation:.0%}",
        escape(f"{run.scores['balanced_accuracy']:.0%}{interval}") if decision.takes_run else "kept the old model",
        escape(run.parameter_set),
    )


def print_versions(out: Console, models: Path) -> None:
    from birdnet_nl.deploy.versions import active_version, all_versions

    versions, active = all_versions(models), active_version(models)
    if not versions:
        command = "birdnet-nl promote logs/sweep-… --version 2026Q4"
        out.print(f"no versions in {display_path(models)} yet; {command} makes one")
        return
    table = Table()
    for heading in ("version", "", "made", "models", "new in it", "test, mean", "MB", "licences"):
        table.add_column(heading, justify="right" if heading in ("models", "new in it", "test, mean", "MB") else "left")
    for version in versions:
        table.add_row(*_version_row(version, bool(active) and version.name == active.name))
    out.print(table)


def _version_row(version: "Version", is_active: bool) -> tuple[str, ...]:
    entries = version.models.values()
    accuracies = [entry["test"]["balanced_accuracy"] for entry in entries]
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
        f"{sum(accuracies) / len(accuracies):.0%}",
        f"{sum(entry['bytes'] for entry in entries) / 1e6:.0f}",
        escape(", ".join(name for name, _ in licences.most_common(3))),
    )
