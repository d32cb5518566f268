"""`birdnet-nl`: get and look at recordings; judge, compare, repeat, follow and ship what was trained on them."""

import typer
from rich.markup import escape
from typer.core import TyperGroup

from birdnet_nl.commands import compare, data, download, evaluate, importing, pretrain, promote, prune, rerun, status
from birdnet_nl.util.console import screen
from birdnet_nl.util.errors import BirdnetNlError


class TidyGroup(TyperGroup):
    """Shows our errors as one sentence, and ends quietly on Ctrl-C; any other error keeps its traceback."""

    def invoke(self, ctx):  # the library's own signature
        try:
            return super().invoke(ctx)
        except BirdnetNlError as error:
            screen.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            screen.print("Stopped; what was finished is kept, and the same command goes on from there.")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=TidyGroup,
    help="What is a bird doing: song, call or alarm? Recordings for one classifier per species of the Netherlands.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,  # they would show the values of local variables
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("download")(download.download_command)
app.command("import")(importing.import_command)
app.command("data")(data.data_command)
app.command("evaluate")(evaluate.evaluate_command)
app.command("compare")(compare.compare_command)
app.command("rerun")(rerun.rerun_command)
app.command("practise")(pretrain.practise_command)
app.command("promote")(promote.promote_command)
app.command("prune")(prune.prune_command)
app.command("status")(status.status_command)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
