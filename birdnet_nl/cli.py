"""Command-line interface `birdnet-nl`. Commands import heavy libraries inside functions, so that --help is fast."""

from typing import Annotated

import typer
from rich.markup import escape
from typer.core import TyperGroup

from birdnet_nl.commands.compare import compare_command
from birdnet_nl.commands.curve import curve_command
from birdnet_nl.commands.data import data_command
from birdnet_nl.commands.download import download_command, import_command
from birdnet_nl.commands.evaluate import evaluate_command
from birdnet_nl.commands.export import export_command
from birdnet_nl.commands.feedback import feedback_app
from birdnet_nl.commands.install_service import CONTEXT_SETTINGS as SERVICE_CONTEXT_SETTINGS
from birdnet_nl.commands.install_service import install_service_command
from birdnet_nl.commands.predict import predict_command
from birdnet_nl.commands.promote import promote_command
from birdnet_nl.commands.prune import prune_command
from birdnet_nl.commands.rerun import rerun_command
from birdnet_nl.commands.serve import serve_command
from birdnet_nl.commands.status import status_command
from birdnet_nl.commands.train import CONTEXT_SETTINGS, pretrain_command, train_command
from birdnet_nl.commands.watch import watch_app
from birdnet_nl.species.table import use_table
from birdnet_nl.util.console import prepare_streams, screen
from birdnet_nl.util.failure import explain
from birdnet_nl.util.files import check_current_folder
from birdnet_nl.util.signals import ending_on_signals, exit_code

RENAMED_COMMANDS = {"practise": "pretrain"}  # old name -> new name


class CommandGroup(TyperGroup):
    """Commands that show our own errors as one sentence and stop quietly on Ctrl-C."""

    def resolve_command(self, ctx, args):  # the signature of the library
        if args and (new_name := RENAMED_COMMANDS.get(args[0])):
            screen.print(f"[red]birdnet-nl {args[0]} is now called birdnet-nl {new_name}[/]", soft_wrap=True)
            raise typer.Exit(2)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx):
        try:
            check_current_folder()
            with ending_on_signals():
                return super().invoke(ctx)
        except Exception as error:
            is_of_the_library = type(error).__module__.partition(".")[0] in ("typer", "click")
            sentence = None if is_of_the_library else explain(error, remedy="give another folder")
            if sentence is None:
                raise
            screen.print(f"[red]{escape(sentence)}[/]", soft_wrap=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            screen.print("Stopped; finished work is kept, and the same command continues from there.")
            raise typer.Exit(exit_code()) from None


app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,  # they would show the values of local variables
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def global_options(
    species_table: Annotated[
        str | None,
        typer.Option(
            envvar="BIRDNET_NL_SPECIES_TABLE",
            show_default="netherlands",
            help="Species: netherlands, europe or a CSV file with the columns scientific,slug,dutch,english,priority.",
        ),
    ] = None,
) -> None:
    """Classify bird vocalizations as song, call or alarm: one classifier per species."""
    use_table(species_table)


app.command("download")(download_command)
app.command("import")(import_command)
app.command("data")(data_command)
app.command("train", context_settings=CONTEXT_SETTINGS)(train_command)
app.command("evaluate")(evaluate_command)
app.command("predict")(predict_command)
app.command("export")(export_command)
app.command("compare")(compare_command)
app.command("curve")(curve_command)
app.command("rerun")(rerun_command)
app.command("pretrain")(pretrain_command)
app.command("promote")(promote_command)
app.command("prune")(prune_command)
app.command("status")(status_command)
app.add_typer(watch_app, name="watch")
app.add_typer(feedback_app, name="feedback")
app.command("install-service", context_settings=SERVICE_CONTEXT_SETTINGS)(install_service_command)
app.command("serve")(serve_command)


def main() -> None:
    prepare_streams()
    app()


if __name__ == "__main__":
    main()
