"""`birdnet-nl export`: models as ONNX files, which predict without torch."""

from pathlib import Path
from typing import Annotated

import typer

from birdnet_nl.util.console import display_path, output_console, progress_bar
from birdnet_nl.util.errors import DataError, RunError, require_extra
from birdnet_nl.util.files import did_you_mean, user_path
from birdnet_nl.util.words import counted

MANIFEST, SUFFIX = "manifest.json", ".onnx"


def export_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A run, a checkpoint, or a version of models.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .onnx file, or for a version the folder to make.")],
) -> None:
    """Export a trained model to an ONNX file, or all models of a version to a pack: a folder with one file a species.

    An exported file takes audio samples and gives calibrated probabilities, in any program that runs ONNX;
    birdnet-nl predict and birdnet_nl.load use it without torch. A pack has a manifest with checksums, the credits of
    the recordings and a model card for each species.

    Example: birdnet-nl export models/2026Q4 -o pack
    """
    require_extra("torch", "train")
    require_extra("onnx", "train")
    model, out = user_path(model), user_path(out)
    if (model / MANIFEST).is_file():
        _export_version(model, out)
    else:
        _export_run(model, out)


def _export_run(model: Path, out: Path) -> None:
    from birdnet_nl.deploy.export import export_model
    from birdnet_nl.deploy.export_credits import describe_credits, read_evidence
    from birdnet_nl.inference.classifier import Classifier

    if not model.exists():
        raise DataError(f"{model} does not exist{did_you_mean(model)}; give a version such as models/2026Q4, or a run")
    if out.suffix != SUFFIX:
        raise DataError(f"-o {out} must end with {SUFFIX}, because {model} is a single model; for example model.onnx")
    classifier = Classifier.load(model)
    species, parameter_set = classifier.metadata["species"]["slug"], classifier.metadata.get("parameter_set") or ""
    try:
        credits = describe_credits(classifier, read_evidence(classifier))
        export_model(classifier, out, f"{species} {parameter_set}".strip(), credits)
    except OSError as error:
        raise RunError(f"{out} cannot be written ({error.strerror}); give another file with -o") from None
    size_mb = out.stat().st_size / 1e6
    output_console().print(f"exported {species} to {display_path(out)} ({size_mb:.1f} MB)", soft_wrap=True)


def _export_version(folder: Path, out: Path) -> None:
    from birdnet_nl.deploy.export_pack import export_pack
    from birdnet_nl.deploy.versions import read_version

    if out.suffix == SUFFIX:
        raise DataError(f"-o {out} must be a folder, because {folder} holds several models; for example -o pack")
    version = read_version(folder.parent, folder.name)
    with progress_bar() as bar:
        task = bar.add_task("exporting models", total=len(version.models))
        pack = export_pack(version, out, lambda: bar.advance(task))
    console = output_console()
    shared = f", {pack.bases} shared base network(s)" if pack.bases else ""
    console.print(
        f"exported {counted(len(pack.models), 'model')} to {display_path(out)} ({pack.bytes / 1e6:.1f} MB{shared})",
        soft_wrap=True,
    )
    for slug, reason in pack.left_out.items():
        console.print(f"left out {slug}: {reason}", soft_wrap=True)
    if pack.left_out:
        raise typer.Exit(1)
