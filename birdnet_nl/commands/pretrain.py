"""`birdnet-nl pretrain`: make the weights from which a training on real birds starts."""

from pathlib import Path
from typing import Annotated

import typer

from birdnet_nl.util.console import display_path, info, progress_bar
from birdnet_nl.util.errors import RunError

MIN_RECORDINGS = 60


def practise_command(
    recordings: Annotated[int, typer.Option(help="Invented recordings to practise on.")] = 12_000,
    steps: Annotated[int, typer.Option(help="Steps of 64 crops.")] = 2_000,
    judged: Annotated[int, typer.Option(help="Further invented recordings, to judge the network with.")] = 600,
    seed: Annotated[int, typer.Option(help="Of the training; the recordings are always the same.")] = 1,
    out: Annotated[Path, typer.Option(help="File for the weights.")] = Path("practised.pt"),
    cache: Annotated[Path, typer.Option(help="Folder for the mels of invented recordings.")] = Path("cache/practice"),
) -> None:
    """Train the compact network on invented birds. The weights that come with the package were made by this command.

    With --out practised.pt they are used by: python train.py trainer=turbo practice.use=practised.pt …

    Takes about a quarter of an hour on two cores, 2 GB of memory and 1 GB of disk. After a stop the recordings made are
    there, and the training begins anew.
    """
    if recordings < MIN_RECORDINGS or judged < MIN_RECORDINGS or steps < 1:
        raise RunError(
            f"--recordings {recordings} and --judged {judged} must be at least {MIN_RECORDINGS}, and --steps {steps} "
            "at least 1"
        )
    from birdnet_nl.training.practising import pretrain_to_file

    with progress_bar() as bar:
        card = pretrain_to_file(recordings, steps, judged, seed, out, cache, bar)
    info(f"{display_path(out)}: {card['judged_right']:.0%} of {judged} other invented recordings right; chance is 33 %")
