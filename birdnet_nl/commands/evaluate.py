"""`birdnet-nl evaluate`: evaluate a checkpoint on a folder of recordings, with the report of a run."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birdnet_nl.data.sources import DEFAULT_ROOT, DEMO_MARK
from birdnet_nl.species.stored import stored_species
from birdnet_nl.species.table import Species, match_species
from birdnet_nl.util.console import display_path, info, warn
from birdnet_nl.util.errors import DataError, RunError, require_extra
from birdnet_nl.util.files import did_you_mean, user_path

if TYPE_CHECKING:
    from birdnet_nl.inference.classifier import Classifier

EVALUATIONS = "evaluations"  # in the run directory
LAYOUT = "xeno-canto-<species>/<song|call|alarm>/*.mp3"
MAX_NAMES = 5


def evaluate_command(
    network: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or a .ckpt file.")],
    data: Annotated[
        Path, typer.Option(envvar="BIRDNET_NL_DATA", help="Folder that holds xeno-canto-<species>/<type>/*.mp3.")
    ] = DEFAULT_ROOT,
    species: Annotated[
        list[str] | None, typer.Option(help="Evaluate on this species instead of the trained ones; or merel,vink.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report; default RUN/evaluations/….")] = None,
    with_training_recordings: Annotated[
        bool, typer.Option("--with-training-recordings", help="Include recordings seen in training.")
    ] = False,
    clip_s: Annotated[
        str, typer.Option(metavar="SECONDS", help="Also on the most active clip of each recording: 6, or 15,6.")
    ] = "",
    cache: Annotated[Path, typer.Option(envvar="BIRDNET_NL_CACHE", help="Folder of the caches.")] = Path("cache"),
) -> None:
    """Evaluate a trained network on a folder of recordings: the report of a run, without training.

    Recordings that it was trained or validated on are left out. Temperature, pooling and threshold are those of the
    checkpoint.

    Example: birdnet-nl evaluate logs/fast/koolmees/2026-11-23_17-34-57 --data /nas/recordings
    """
    require_extra("torch", "train")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in train.py, before torch is loaded
    from birdnet_nl.commands.evaluate_tables import print_evaluation, print_left_out
    from birdnet_nl.inference.classifier import Classifier
    from birdnet_nl.runs.clips import parse_clip_lengths
    from birdnet_nl.runs.evaluate import evaluate

    try:
        clip_lengths_s = parse_clip_lengths(clip_s)
    except ValueError as error:
        raise DataError(str(error)) from None
    classifier = Classifier.load(user_path(network))
    data = user_path(data)
    trained = trained_species(classifier.metadata)
    names = [name for text in species or [] for name in text.split(",")]
    folders = choose_folders(data, trained, names)
    synthetic = classifier.metadata["synthetic"] or any(
        (path / DEMO_MARK).is_file() for paths in folders.values() for path in paths
    )
    print_warnings(classifier, trained, list(folders))
    if synthetic and was_pretrained(classifier.metadata):
        warn("this network was pretrained on synthetic recordings made like the demo's, so these metrics are too good")
    if with_training_recordings:
        warn("--with-training-recordings: recordings seen in training are included, so the metrics are far too good")
    mark = "-synthetic" if synthetic else ""  # at the end, as in the name of a synthetic run
    name = f"{data.resolve().name}-{datetime.now():%Y-%m-%d_%H-%M-%S}{mark}"
    folder = claim_folder(user_path(out) if out else classifier.run_dir / EVALUATIONS / name)
    try:
        report = evaluate(classifier, data, folders, folder, user_path(cache), with_training_recordings, clip_lengths_s)
    except BaseException:
        for created in [folder] if out else [folder, folder.parent]:
            if not any(created.iterdir()):
                created.rmdir()
        raise
    print_left_out(report)
    print_evaluation(report, folder)


def choose_folders(data: Path, trained: Sequence[Species], names: Sequence[str]) -> dict[Species, list[Path]]:
    """Return the folders in `data` of the named species, or without names of the trained species.

    A species named by itself must have recordings; of `all`, a pattern or a pool only those on disk are taken. Raises
    `DataError` when there are none.
    """
    on_disk = folders_by_species(data)
    matches = [match_species(name) for name in names]
    requested = [species for group in matches for species in group] or list(trained)
    chosen = {species: on_disk[species] for species in requested if species in on_disk}
    required = {group[0] for group in matches if len(group) == 1}
    missing = [species.slug for species in requested if species not in on_disk and (species in required or not chosen)]
    if missing:
        raise DataError(_explain_missing(data, missing, on_disk))
    return chosen


def folders_by_species(data: Path) -> dict[Species, list[Path]]:
    """Find the species folders in `data`: more than one where `merel` and `xeno-canto-merel` both exist."""
    if not data.is_dir():
        raise DataError(f"--data {data} is not a folder{did_you_mean(data)}; give the one that holds {LAYOUT}")
    from birdnet_nl.recordings.folder import species_of_folder

    found: dict[Species, list[Path]] = {}
    try:
        folders = sorted(child for child in data.iterdir() if child.is_dir())
    except PermissionError:
        raise DataError(f"--data {data} cannot be read; change its permissions or give another folder") from None
    for folder in folders:
        if species := species_of_folder(folder):
            found.setdefault(species, []).append(folder)
    return found


def _explain_missing(data: Path, missing: Sequence[str], on_disk: Mapping[Species, Sequence[Path]]) -> str:
    from birdnet_nl.recordings.folder import species_of_folder

    full = data.resolve()
    for folder in (full, full.parent):
        if (species := species_of_folder(folder)) and not on_disk:
            return f"--data {data} is (in) the folder of {species.slug} itself; give the one above: {folder.parent}"
    if not on_disk:
        return f"--data {data} holds no species folder at all; give the one that holds {LAYOUT}"
    slugs = [species.slug for species in on_disk]
    others = f"{', '.join(slugs[:MAX_NAMES])}{', …' if len(slugs) > MAX_NAMES else ''}"
    return (
        f"--data {data} holds no recordings of {_list_names(missing, 'or')}, but of {others}; give another folder, or "
        "name the species to evaluate on with --species"
    )


def _list_names(names: Sequence[str], conjunction: str) -> str:
    more = f" {conjunction} {len(names) - MAX_NAMES} others" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def trained_species(metadata: Mapping[str, Any]) -> list[Species]:
    """Return the species a network was trained on: one, or the members of its pool."""
    return stored_species(metadata)


def print_warnings(classifier: "Classifier", trained: list[Species], chosen: list[Species]) -> None:
    """Print facts that change the meaning of every metric of the evaluation."""
    if classifier.metadata["synthetic"]:
        warn("SYNTHETIC: this network was trained on demo recordings, not on real birds")
    if others := [species.slug for species in chosen if species not in trained]:
        trained_on = trained[0].slug if len(trained) == 1 else f"{len(trained)} species"
        names = _list_names(others, "and")
        warn(f"evaluated on {names}, which it was not trained on (it was trained on {trained_on})")
    embeddings = classifier.metadata.get("embeddings")
    if embeddings and embeddings["licence"]:
        info(f"embeddings by {embeddings['credit']}; licence of embeddings and network: {embeddings['licence']}")
    if not classifier.is_calibrated:
        info("[yellow]the checkpoint is of a run without test: temperature 1, mean pooling, no threshold[/]")
    if classifier.trained_on is None:
        folder = display_path(classifier.run_dir)
        info(f"[bold red]no splits.csv in {folder}: whether it was trained on these recordings is unknown[/]")


def was_pretrained(metadata: Mapping[str, Any]) -> bool:
    """Return whether the network or its embedding model was trained on synthetic recordings."""
    from birdnet_nl.embeddings.synthetic import PRETRAINED_ON_SYNTHETIC

    embeddings = metadata.get("embeddings") or {}
    return bool(metadata.get("pretraining")) or (
        not metadata["synthetic"] and embeddings.get("name") in PRETRAINED_ON_SYNTHETIC
    )


def claim_folder(folder: Path) -> Path:
    """Create the folder before the evaluation starts; raises `RunError` when it is not empty or not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise RunError(f"{folder} is not empty; give another folder with --out")
    except OSError as error:
        raise RunError(f"{folder} cannot be written ({error.strerror}); give another folder with --out") from None
    return folder
