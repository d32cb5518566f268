"""`birdnet-nl compare`: which parameter set is worth its time."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from birdnet_nl.util.console import display_path, progress_bar, screen
from birdnet_nl.util.errors import DataError


def compare_command(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="Folders with runs anywhere below; default logs.")
    ] = None,
    sets: Annotated[str, typer.Option(help="Parameter sets, such as legacy,fast,turbo; default all there are.")] = "",
    baseline: Annotated[str, typer.Option(help="What the others are compared with; default legacy.")] = "",
    html: Annotated[Path | None, typer.Option(help="Write one page with pictures here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables as Markdown here.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a row per training here.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write everything as JSON here.")] = None,
) -> None:
    """Compare parameter sets by their finished runs: accuracy, speed, and what the data decide.

    Runs are compared when they are of the same species, seed and test recordings; whatever is left out is listed. The
    folds of a cross-validation are joined into one result, of a single set too.

    Example: birdnet-nl compare logs --sets legacy,fast --html compare.html
    """
    from birdnet_nl.commands.compare_tables import markdown_of, show_comparison
    from birdnet_nl.commands.compare_values import as_csv, as_values
    from birdnet_nl.comparison.compare import compare_runs
    from birdnet_nl.comparison.finished_runs import find_runs

    tops = [folder.expanduser() for folder in folders or [Path("logs")]]
    with progress_bar() as bar:
        bar.add_task("reading runs", total=None)
        found = find_runs(tops)
        where = ", ".join(map(str, tops))
        if not found.runs:
            others = f" ({len(found.unfinished)} unfinished, {len(found.broken)} broken)" if _any(found) else ""
            raise DataError(
                f"nothing finished below {where}{others}; train first: python train.py -m species=… trainer=legacy,fast"
            )
        comparison = compare_runs(found, [name.strip() for name in sets.split(",") if name.strip()], baseline)
    show_comparison(Console(highlight=False), comparison)
    if html:
        from birdnet_nl.commands.compare_page import page_of

        _write("--html", html, page_of(comparison))
    if markdown:
        _write("--markdown", markdown, markdown_of(comparison))
    if csv:
        _write("--csv", csv, as_csv(comparison))
    if json_:
        _write("--json", json_, json.dumps(as_values(comparison), ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    if not comparison.sections and not comparison.cross_validations:
        raise DataError(
            f"no two runs below {where} can be compared; train both sets with the same species and seed: "
            f"python train.py -m species=… trainer={','.join((comparison.baseline, *comparison.others))}"
        )


def _any(found) -> bool:
    return bool(found.unfinished or found.broken)


def _write(option: str, path: Path, text: str) -> None:
    from birdnet_nl.util.files import write_text_atomic

    path = path.expanduser()
    try:
        write_text_atomic(path, text)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); give another file with {option}") from None
    screen.print(f"written: {display_path(path)}", soft_wrap=True)
