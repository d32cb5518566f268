"""`birdnet-nl train`, with the arguments of `python train.py`, and `birdnet-nl pretrain`, which makes its weights."""

from pathlib import Path
from typing import Annotated

import typer

from birdnet_nl.util.console import display_path, info, progress_bar
from birdnet_nl.util.errors import RunError, require_extra

CONTEXT_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
MIN_RECORDINGS = 60  # of a pretraining


def train_command(context: typer.Context) -> None:
    """Train one classifier, or a sweep with -m; birdnet-nl train --help shows every parameter.

    Example: birdnet-nl train species=koolmees trainer=fast
    """
    require_extra("torch", "train")
    from birdnet_nl.commands.train_main import main

    raise typer.Exit(main(context.args))


def pretrain_command(
    recordings: Annotated[int, typer.Option(help="Synthetic recordings to train on.")] = 12_000,
    steps: Annotated[int, typer.Option(help="Optimizer steps of 64 crops.")] = 2_000,
    test_recordings: Annotated[int, typer.Option(help="Further synthetic recordings to test the network on.")] = 600,
    seed: Annotated[int, typer.Option(help="Of the training; the recordings are always the same.")] = 1,
    out: Annotated[Path, typer.Option(help="File for the weights.")] = Path("pretrained.pt"),
    cache: Annotated[Path, typer.Option(help="Folder for the mels of synthetic recordings.")] = Path("cache/synthetic"),
) -> None:
    """Train the compact network on synthetic recordings. The weights in the package were made by this command.

    To start a run from the weights: birdnet-nl train trainer=turbo model.pretrained=pretrained.pt …

    Takes about a quarter of an hour on two cores, 2 GB of memory and 1 GB of disk. After an interruption the finished
    recordings are kept and the training starts again.
    """
    if recordings < MIN_RECORDINGS or test_recordings < MIN_RECORDINGS or steps < 1:
        raise RunError(
            f"--recordings {recordings} and --test-recordings {test_recordings} must be at least {MIN_RECORDINGS}, and "
            f"--steps {steps} at least 1"
        )
    require_extra("torch", "train")
    from birdnet_nl.training.pretrain import pretrain_to_file

    with progress_bar() as bar:
        metadata = pretrain_to_file(recordings, steps, test_recordings, seed, out, cache, bar)
    info(
        f"{display_path(out)}: {metadata['accuracy']:.0%} of {test_recordings} other synthetic recordings correct; "
        "chance is 33 %"
    )
