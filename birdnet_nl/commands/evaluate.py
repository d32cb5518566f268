"""`birdnet-nl evaluate`: any checkpoint on any folder of recordings, with the report of a run."""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birdnet_nl.data.sources import DEFAULT_ROOT, DEMO_MARK
from birdnet_nl.species.table import Species
from birdnet_nl.util.console import display_path, info, warn
from birdnet_nl.util.errors import RunError

if TYPE_CHECKING:
    from birdnet_nl.inference.classifier import TrainedNetwork

EVALUATIONS = "evaluations"  # in the run directory
MAX_NAMED = 5


def evaluate_command(
    network: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or a .ckpt file.")],
    data: Annotated[
        Path, typer.Option(envvar="BIRDNET_NL_DATA", help="Folder that holds xeno-canto-<species>/<type>/*.mp3.")
    ] = DEFAULT_ROOT,
    species: Annotated[
        list[str] | None, typer.Option(help="Judge this species instead of those it was trained on; or merel,vink.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report; default RUN/evaluations/….")] = None,
    with_training_recordings: Annotated[
        bool, typer.Option("--with-training-recordings", help="Judge also what it was trained on; for curiosity only.")
    ] = False,
    cache: Annotated[Path, typer.Option(envvar="BIRDNET_NL_CACHE", help="Folder of mels.")] = Path("cache"),
) -> None:
    """Judge a trained network on a folder of recordings: the report of a run, without training.

    Recordings that it was trained on or validated with are left out. Temperature, pooling and threshold are the
    checkpoint's.

    Example: birdnet-nl evaluate logs/fast/koolmees/2026-11-23_17-34-57 --data /nas/recordings
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train.py does, before torch is loaded
    from birdnet_nl.commands.evaluate_choice import choose_folders, trained_species
    from birdnet_nl.commands.evaluate_tables import print_evaluation, print_left_out
    from birdnet_nl.inference.classifier import load_trained
    from birdnet_nl.runs.evaluate import evaluate

    trained = load_trained(network.expanduser())
    data = data.expanduser()
    members = trained_species(trained.card)
    names = [name for text in species or [] for name in text.split(",")]
    folders = choose_folders(data, members, names)
    synthetic = trained.card["synthetic"] or any((path / DEMO_MARK).is_file() for ps in folders.values() for path in ps)
    print_warnings(trained, members, list(folders))
    if synthetic and was_pretrained(trained.card):
        warn("this network has practised on invented birds, which are made as the demo's are, so these figures flatter")
    if with_training_recordings:
        warn("--with-training-recordings: whatever it was trained on is judged too, so the figures are far too good")
    folder = claim_folder(out.expanduser() if out else new_folder(trained.home, data, synthetic))
    try:
        report = evaluate(trained, data, folders, folder, cache.expanduser() / "mel", with_training_recordings)
    except BaseException:
        for made in [folder] if out else [folder, folder.parent]:
            if not any(made.iterdir()):
                made.rmdir()
        raise
    print_left_out(report)
    print_evaluation(report, folder)


def print_warnings(trained: "TrainedNetwork", members: list[Species], chosen: list[Species]) -> None:
    """What changes the meaning of every figure that follows."""
    if trained.card["synthetic"]:
        warn("SYNTHETIC: this network was trained on demo recordings and knows no real birds")
    if others := [one.slug for one in chosen if one not in members]:
        trained_on = members[0].slug if len(members) == 1 else f"{len(members)} species"
        named = ", ".join(others[:MAX_NAMED]) + (
            f" and {len(others) - MAX_NAMED} others" if len(others) > MAX_NAMED else ""
        )
        warn(f"judged on {named}, which it was not trained on (it was on {trained_on})")
    features = trained.card.get("features")
    if features and features["licence"]:
        info(f"features of {features['credit']}; {features['licence']}, and so is the network")
    taught_by = trained.card.get("teacher_features")
    if taught_by and taught_by["licence"]:
        info(f"student of a network on features of {taught_by['credit']}; {taught_by['licence']} may hold for it too")
    if not trained.decided:
        info("[yellow]no decisions of a tested run in the checkpoint: temperature 1, pooling mean, no threshold[/]")
    if trained.trained_on is None:
        where = display_path(trained.home)
        info(f"[bold red]no splits.csv in {where}: whether it was trained on these recordings is not known[/]")


def was_pretrained(card: Mapping[str, Any]) -> bool:
    """Whether the network, or what it hears with, knows invented birds."""
    from birdnet_nl.embeddings.synthetic import PRETRAINED_ON_SYNTHETIC

    features = card.get("features") or {}
    return bool(card.get("practice")) or (not card["synthetic"] and features.get("name") in PRETRAINED_ON_SYNTHETIC)


def new_folder(home: Path, data: Path, synthetic: bool) -> Path:
    """`<run>/evaluations/<folder of recordings>-<time>`, with the mark of synthetic runs at the end."""
    name = f"{data.resolve().name}-{datetime.now():%Y-%m-%d_%H-%M-%S}{'-synthetic' if synthetic else ''}"
    return home / EVALUATIONS / name


def claim_folder(folder: Path) -> Path:
    """Make the folder, before hours go into it; refuses one that holds anything."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise RunError(f"{folder} is not empty; give another folder with --out")
    except OSError as error:
        raise RunError(f"{folder} cannot be written ({error.strerror}); give another folder with --out") from None
    return folder
