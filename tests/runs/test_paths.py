"""Runs and sweeps in folders with the names that people give them, and the commands that they print."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

NAME = 'Bird (2024), it\'s = #1 [é] {x} $HOME; %d `y` "z" \\'


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A current folder with such a name."""
    folder = tmp_path / NAME
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def paste(command: str, folder: Path) -> str:
    """Run a printed command in bash, with this Python and its scripts on the path; returns what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "200"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_sweep_in_a_folder_with_special_characters_and_its_printed_commands(tiny_of, folder, repository):
    logs = folder / "logs, [1]"
    settings = [*tiny_of(logs), "paths.cache=my, cache", "trainer.max_epochs=1", "evaluation.plots=false"]
    words = ["python", str(repository / "train.py"), "-m", "species=koolmees", "seed=1,2", *settings]
    screen = paste(shlex.join(words), folder)
    (sweep,) = logs.glob("sweep-*")
    assert len(list(sweep.rglob("metrics.json"))) == 2, screen
    assert (folder / "my, cache" / "mel").is_dir()
    status = re.search(r"follow its progress with (birdnet-nl status .+)", screen)[1]
    assert "2 jobs, 2 done" in paste(status, folder)
    lost = next(sweep.rglob("metrics.json"))
    lost.unlink()
    resumed = re.search(r"continue with: (.+)", paste(status, folder))[1]
    assert "sweep ended: 2 done" in paste(resumed, folder)
    assert lost.is_file()


@pytest.mark.parametrize("name", ["a,b", "[x]", "it's", "(2024)", "a=b", "#1", "2024", "null", "é"])
def test_a_missing_folder_is_named_as_it_was_typed(main, folder, tmp_path, name):
    code, screen = main("species=merel", f"data.root=/nas/{name}", f"paths.logs={tmp_path / name}")
    assert code == 1 and f"✗ data.root=/nas/{name} is not a folder; give one that holds" in screen


def test_a_similar_folder_is_suggested(main, folder):
    (folder / "recordings, mine").mkdir()
    code, screen = main("species=merel", f"data.root={folder}/recordngs, mine", "paths.logs=logs")
    assert code == 1 and f"(did you mean {folder}/recordings, mine?)" in screen


def test_an_unfinished_reference_is_one_sentence(main, folder):
    code, screen = main("species=merel", "data.root=/nas/a${b")
    assert code == 1 and "/nas/a${b holds ${, which begins a reference to another parameter" in screen
