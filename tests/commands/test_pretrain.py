"""`birdnet-nl pretrain` refuses what would teach nothing."""

from typer.testing import CliRunner

from birdnet_nl.cli import app


def test_too_few_is_one_sentence():
    done = CliRunner().invoke(app, ["practise", "--recordings", "5"])
    assert done.exit_code == 1
    assert "--recordings 5" in done.output and "at least 60" in " ".join(done.output.split())
