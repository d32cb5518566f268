"""`birdnet-nl train`: train from the command line, with the same arguments as `python train.py`."""

import typer

from birdnet_nl.util.extras import require_extra

CONTEXT_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def train_command(context: typer.Context) -> None:
    """Train one classifier, or a sweep with -m; birdnet-nl train --help shows every parameter.

    Example: birdnet-nl train species=koolmees trainer=fast
    """
    require_extra("torch", "train")
    from birdnet_nl.commands.train_main import main

    raise typer.Exit(main(context.args))
