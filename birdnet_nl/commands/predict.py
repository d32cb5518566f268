"""`birdnet-nl predict`: vocalization types of sound files, or of the detections of another program."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from birdnet_nl.util.console import display_path, screen
from birdnet_nl.util.errors import BirdnetNlError, SelectionError
from birdnet_nl.util.files import user_path

if TYPE_CHECKING:
    from birdnet_nl.prediction.plan import FileResult
    from birdnet_nl.prediction.prediction import Prediction

DEFAULT_OUT = Path("predictions")  # with --format or --detections and without -o
MAX_ON_SCREEN = 100  # files without -o
INTERRUPTED = 130
WHAT, HOW, ROWS, OUTPUT, LARGE = (
    "What to predict", "How to predict", "Which rows", "Output", "Large jobs",
)  # fmt: skip


def predict_command(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUT]...", help="Sound files, folders (with all below them), or 'patterns*.wav'."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            envvar="BIRDNET_NL_MODEL",
            rich_help_panel=WHAT,
            show_default="the version in models/active",
            help="A run, a version, a pack, or a .onnx or .ckpt file.",
        ),
    ] = None,
    species: Annotated[
        str, typer.Option(rich_help_panel=WHAT, help="Any name. Default: from the names of folders and files.")
    ] = "",
    detections: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=WHAT,
            help="A table or a folder of tables by BirdNET-Analyzer, Raven, Audacity, Kaleidoscope, birdnet, birda, "
            "HawkEars or BirdNET-Pi: the same rows, with our columns at their end.",
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(rich_help_panel=HOW, show_default="as in training", help="Seconds shared by two segments."),
    ] = None,
    min_confidence: Annotated[float, typer.Option(rich_help_panel=ROWS, help="Smallest probability, 0 to 1.")] = 0.0,
    merge: Annotated[
        bool, typer.Option("--merge", rich_help_panel=ROWS, help="Join consecutive segments of the same type.")
    ] = False,
    uncertain: Annotated[
        str,
        typer.Option(
            metavar="keep|drop|mark",
            rich_help_panel=ROWS,
            help="Predictions below the model's threshold: keep, drop, or mark as type 'uncertain'.",
        ),
    ] = "keep",
    top: Annotated[
        int | None, typer.Option(rich_help_panel=ROWS, help="Only the most probable rows of each recording.")
    ] = None,
    language: Annotated[
        str, typer.Option(metavar="en|nl", rich_help_panel=ROWS, help="Of types and common names.")
    ] = "en",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", rich_help_panel=OUTPUT, help="Folder for the tables. Default: on the screen."),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            rich_help_panel=OUTPUT,
            show_default="csv, or with --detections their own",
            help="csv, raven, audacity, kaleidoscope, parquet, json, html; several separated by commas.",
        ),
    ] = None,
    json_: Annotated[
        bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print JSON lines, one for each recording.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel=OUTPUT, help="Print only failures.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(rich_help_panel=LARGE, show_default="one for each core with many files", help="Processes."),
    ] = None,
    shard: Annotated[
        str, typer.Option(rich_help_panel=LARGE, help="Part of the files, such as 3/16, for array jobs.")
    ] = "",
) -> None:
    """Predict the vocalization type (song, call or alarm) of every segment of your recordings.

    Repeating a command continues where it was stopped. The exit code is 0 if everything was predicted, 1 if something
    failed, 2 if the command cannot be carried out as it is, and 130 after Ctrl-C.

    Example: birdnet-nl predict clip.mp3 --species koolmees

    Example: birdnet-nl predict ~/recordings --detections ~/birdnet-results -o out --format csv,raven

    Example: birdnet-nl predict 20261130_060000.WAV --model merel.onnx --overlap 1.5 --merge -o out
    """
    from birdnet_nl.inference.model import load_model
    from birdnet_nl.prediction.formats import check_formats
    from birdnet_nl.prediction.prediction import Prediction, Request
    from birdnet_nl.prediction.rows import RowOptions

    try:
        if not inputs and not detections:
            raise SelectionError("no recordings named; try birdnet-nl predict clip.mp3 --species koolmees, or --help")
        out = user_path(out) if out else DEFAULT_OUT if format_ or detections else None
        request = Request(
            inputs=inputs or [],
            model=model,
            species=species,
            overlap_s=overlap,
            options=RowOptions(min_confidence, merge, uncertain, top, language),
            detections=user_path(detections) if detections else None,
            out=out,
            formats=check_formats(format_) if format_ else () if detections else ("csv",),
            workers=workers,
            shard=_parse_shard(shard),
            load=load_model,
        )
        with screen.status("listing recordings") if screen.is_terminal and not quiet else _nothing():
            prediction = Prediction(request)
    except (BirdnetNlError, ValueError) as error:
        screen.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        raise typer.Exit(2) from None
    try:
        _predict(prediction, json_, quiet)
    except KeyboardInterrupt:
        _print_interrupted(prediction)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        prediction.close()


def _parse_shard(text: str) -> tuple[int, int] | None:
    from birdnet_nl.prediction.job import parse_shard

    return parse_shard(text) if text else None


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


def _predict(prediction: "Prediction", as_json: bool, quiet: bool) -> None:
    from birdnet_nl.commands.predict_progress import run_with_progress
    from birdnet_nl.commands.predict_tables import print_json, print_summary, print_tables

    request = prediction.request
    if request.out is None and len(prediction.tasks) > MAX_ON_SCREEN and not as_json:
        screen.print(
            f"[red]{len(prediction.tasks)} recordings are too many for the screen; add -o FOLDER or --json[/]",
            soft_wrap=True,
        )
        raise typer.Exit(2)
    run_with_progress(prediction, quiet)
    if request.out:
        prediction.write()
        if "html" in request.formats:
            write_page(prediction)
    if as_json:
        print_json(prediction)
    elif request.out is None and not quiet:
        print_tables(prediction)
    print_summary(prediction, quiet)
    nothing_found = prediction.typed is not None and not prediction.tasks and prediction.typed.counts["no audio"]
    if prediction.failures or nothing_found:
        raise typer.Exit(1)


def write_page(prediction: "Prediction") -> None:
    """Write the HTML page of the job to the output folder."""
    import numpy as np

    from birdnet_nl.commands.output import write_file
    from birdnet_nl.commands.predict_page import predict_page
    from birdnet_nl.commands.predict_page_totals import PageRecording
    from birdnet_nl.prediction.outputs import OutputFolder

    request = prediction.request

    def page_recording(result: "FileResult") -> PageRecording:
        facts, predicted = result.stored.model, result.stored.prediction
        starts_s = predicted.starts_s
        return PageRecording(
            path=result.file.path,
            species=request.options.common_name(result.species) if result.species else "",
            types=facts.types,
            starts_s=starts_s,
            ends_s=np.minimum(starts_s + facts.segment_s, np.maximum(predicted.duration_s, starts_s)),
            probabilities=predicted.probabilities,
            recording=predicted.recording,
            silent=predicted.silent,
            duration_s=predicted.duration_s,
            threshold=facts.threshold,
            model=result.model,
            recorded_at=result.recorded_at.start if result.recorded_at else None,
            warning=predicted.warning,
            synthetic=facts.synthetic,
        )

    failed = [(Path(failure.file).name, failure.reason) for failure in prediction.failures]
    page = predict_page(map(page_recording, prediction.results()), failed, request.options.language)
    part = f".{request.shard[0]}-of-{request.shard[1]}" if request.shard else ""
    write_file(OutputFolder(request.out, part).combined("predictions.html"), page, "-o")


def _print_interrupted(prediction: "Prediction") -> None:
    if prediction.request.out is None:
        screen.print("Stopped; nothing is kept without -o FOLDER.")
        return
    done = sum(1 for task in prediction.tasks if prediction.store.path(task.key).is_file())
    screen.print(
        f"Stopped: {done} of {len(prediction.tasks)} are predicted and kept in "
        f"{display_path(prediction.request.out)}; the same command continues from there.",
        soft_wrap=True,
    )
