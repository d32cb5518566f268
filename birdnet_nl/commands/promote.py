"""`birdnet-nl promote`: from finished runs to a version of models, and which version is in use."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from birdnet_nl.util.console import display_path, progress_bar
from birdnet_nl.util.errors import DataError


def promote_command(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="Sweeps or runs, such as logs/sweep-….")
    ] = None,
    version: Annotated[str, typer.Option(help="Name of the new version, such as 2026Q4.")] = "",
    models: Annotated[Path, typer.Option(help="Folder of the versions.")] = Path("models"),
    no_activate: Annotated[bool, typer.Option("--no-activate", help="Leave the active version as it is.")] = False,
    allow_synthetic: Annotated[
        bool, typer.Option("--allow-synthetic", help="Also networks that know demo recordings only; to try things out.")
    ] = False,
    accept_worse: Annotated[
        bool, typer.Option("--accept-worse", help="Take the new network also where it is the worse one.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show the versions there are.")] = False,
    activate: Annotated[str, typer.Option(metavar="VERSION", help="Use a version that is there, e.g. go back.")] = "",
) -> None:
    """Collect the best run of each species, by validation, as a version of models.

    Where the active version's model answers the same test recordings better, it stays. Species without a new run keep
    their model, so that a version is complete. Versions never change; one of them is active.

    Example: birdnet-nl promote logs/sweep-2026-11-25_10-00-00 --version 2026Q4
    """
    from birdnet_nl.commands.promote_tables import show_promotion, show_versions
    from birdnet_nl.deploy import versions

    out, models = Console(highlight=False), models.expanduser()
    if list_ or activate:
        if folders or version:
            raise DataError("--list and --activate go without folders and --version; give one thing at a time")
        if activate:
            found = versions.activate(models, activate)
            out.print(f"active: version [bold]{found.name}[/], {len(found.models)} models", soft_wrap=True)
        else:
            show_versions(out, models)
        return
    if not folders or not version:
        raise DataError(
            "give the runs and a name: birdnet-nl promote logs/sweep-… --version 2026Q4; --list shows what is there"
        )
    try:
        versions.check_name(version)
    except ValueError as error:
        raise DataError(str(error)) from None
    from birdnet_nl.deploy.make_version import make_version
    from birdnet_nl.deploy.promotion import plan_promotion

    base = versions.base_for(models, version)
    with progress_bar() as bar:
        bar.add_task("reading runs", total=None)
        found = _find(folders)
        promotion = plan_promotion(found.runs, base, allow_synthetic, accept_worse)
        task = bar.add_task("collecting models", total=len(promotion.decisions))
        made, is_new = make_version(models, version, promotion, lambda: bar.advance(task))
    show_promotion(out, promotion, found)
    out.print(
        f"[bold]{display_path(made.folder)}[/]" + ("" if is_new else ": there already, and the same"), soft_wrap=True
    )
    if no_activate:
        out.print(f"not active; birdnet-nl promote --activate {version} makes it so", soft_wrap=True)
    else:
        versions.activate(models, version)
        out.print(f"active: version [bold]{version}[/]", soft_wrap=True)


def _find(folders: list[Path]):
    from birdnet_nl.comparison.finished_runs import find_runs

    tops = [folder.expanduser() for folder in folders]
    found = find_runs(tops)
    if not found.runs:
        others = f" ({len(found.unfinished)} unfinished)" if found.unfinished else ""
        raise DataError(f"nothing finished below {', '.join(map(str, tops))}{others}; train first")
    return found
