"""`birdnet-nl promote` as a user types it."""

import pytest

from birdnet_nl.deploy.versions import active_version


@pytest.fixture
def promote(cli, tmp_path):
    return lambda *words: cli("promote", *words, "--models", tmp_path / "models")


def test_a_version_is_made_shown_activated_and_left_again(promote, make_shippable_run, tmp_path):
    make_shippable_run(tmp_path / "logs/a", right=[True] * 30 + [False] * 6, weights_seed=1)
    made = promote(tmp_path / "logs", "--version", "2026Q3")
    assert made.exit_code == 0 and "1 new" in made.output and "active: version 2026Q3" in made.output
    make_shippable_run(tmp_path / "logs2/a", right=[True] * 18 + [False] * 18, weights_seed=2)
    make_shippable_run(tmp_path / "logs2/b", "fast", "merel")
    made = promote(tmp_path / "logs2", "--version", "2026Q4")
    assert "worse than before, so the old model stays: Koolmees" in made.output
    assert active_version(tmp_path / "models").models["koolmees"]["since"] == "2026Q3"
    listed = promote("--list").output
    assert "2026Q3" in listed and "2026Q4" in listed and listed.count("active") == 1
    assert "active: version 2026Q3, 1 model" in promote("--activate", "2026Q3").output
    assert active_version(tmp_path / "models").name == "2026Q3"


def test_without_activation_the_active_version_stays_and_left_out_runs_are_listed(
    promote, make_shippable_run, tmp_path
):
    make_shippable_run(tmp_path / "logs/a")
    make_shippable_run(tmp_path / "logs/b", split_by="segment")
    output = promote(tmp_path / "logs", "--version", "1", "--no-activate").output
    assert "left out: " in output and "logs/b: split by segment" in output and "not active" in output
    assert active_version(tmp_path / "models") is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "give the runs and a name"),
        (["{logs}"], "give the runs and a name"),
        (["{logs}", "--version", "a/b"], "is not a name for a version"),
        (["{logs}/nowhere", "--version", "1"], "is not a folder"),
        (["{empty}", "--version", "1"], "no finished runs below"),
        (["--list", "--version", "1"], "go without folders"),
        (["--activate", "9"], "has no version 9; there are: none yet"),
    ],
)
def test_an_error_is_one_sentence(refuses, make_shippable_run, tmp_path, words, sentence):
    make_shippable_run(tmp_path / "logs/a")
    (tmp_path / "empty").mkdir()
    words = [word.format(logs=tmp_path / "logs", empty=tmp_path / "empty") for word in words]
    refuses(sentence, "promote", *words, "--models", tmp_path / "models")
