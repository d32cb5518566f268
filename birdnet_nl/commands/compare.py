"""`birdnet-nl compare`: compare parameter sets by their finished runs."""

from pathlib import Path
from typing import Annotated

import typer

from birdnet_nl.util.console import display_path, output_console, progress_bar
from birdnet_nl.util.errors import DataError, require_extra
from birdnet_nl.util.files import user_path


def compare_command(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="Folders with runs anywhere below; default logs.")
    ] = None,
    sets: Annotated[str, typer.Option(help="Parameter sets, such as legacy,fast,turbo; default all.")] = "",
    baseline: Annotated[str, typer.Option(help="Set that the others are compared with; default legacy.")] = "",
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables as Markdown to this file.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a row per training to this file.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write everything as JSON to this file.")] = None,
) -> None:
    """Compare parameter sets by their finished runs: accuracy, speed, and the claims that the data decide.

    Runs are compared when species, seed and test recordings are the same; all others are listed. The folds of a
    cross-validation are joined into one result, also of a single set.

    Example: birdnet-nl compare logs --sets legacy,fast --html compare.html
    """
    if html:
        require_extra("matplotlib", "train")
    from birdnet_nl.commands.compare_report import comparison_markdown, comparison_page, print_comparison
    from birdnet_nl.commands.compare_values import comparison_csv, comparison_json
    from birdnet_nl.commands.output import write_file
    from birdnet_nl.comparison.compare import compare_runs
    from birdnet_nl.comparison.finished_runs import find_runs

    out = output_console()
    tops = [user_path(folder) for folder in folders or [Path("logs")]]
    names = ", ".join(map(str, tops))
    with progress_bar() as bar:
        bar.add_task("reading runs", total=None)
        found = find_runs(tops)
        if not found.runs:
            counts = f" ({len(found.unfinished)} unfinished, {len(found.broken)} broken)"
            others = counts if found.unfinished or found.broken else ""
            raise DataError(
                f"no finished runs below {names}{others}; train first: python train.py -m species=… trainer=legacy,fast"
            )
        comparison = compare_runs(found, [name.strip() for name in sets.split(",") if name.strip()], baseline)
    print_comparison(out, comparison)
    for option, path, render in (
        ("--html", html, comparison_page),
        ("--markdown", markdown, comparison_markdown),
        ("--csv", csv, comparison_csv),
        ("--json", json_, comparison_json),
    ):
        if path:
            written = write_file(path, render(comparison), option)
            out.print(f"written: {display_path(written)}", soft_wrap=True)
    if not comparison.sections and not comparison.cross_validations:
        raise DataError(
            f"no two runs below {names} can be compared; train both sets with the same species and seed: "
            f"python train.py -m species=… trainer={','.join((comparison.baseline, *comparison.others))}"
        )
