"""Commands for copying, pasted into the shells."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from birdnet_nl.sweep.jobs import override_value
from birdnet_nl.sweep.path_arguments import quote_paths
from birdnet_nl.util.printed_commands import path_value, printed_command, quote_word, train_command
from tests.nasty_names import NASTY_NAMES

SHOW_WORDS = "import os, sys; sys.stdout.buffer.write(bytes(1).join(map(os.fsencode, sys.argv[1:])))"


def paste(line: str, folder: Path) -> list[str]:
    """Return the words of a pasted line, as bash splits it."""
    show = shlex.join([sys.executable, "-c", SHOW_WORDS])
    done = subprocess.run(["bash", "-c", f"{show} {line}"], cwd=folder, stdout=subprocess.PIPE, check=True)
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")]


def test_every_name_survives_pasting(tmp_path):
    line = " ".join(quote_word(name) for name in NASTY_NAMES)
    assert paste(line, tmp_path) == NASTY_NAMES


@pytest.mark.parametrize("name", NASTY_NAMES, ids=ascii)
def test_a_pasted_argument_names_the_same_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / name
    folder.mkdir()
    (argument,) = quote_paths([f"resume={path_value(folder)}"])
    assert Path(override_value(argument)).resolve() == folder
    assert not path_value(folder).startswith(("-", "~"))


def test_paths_below_the_current_folder_are_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/birdnet-nl"])
    assert printed_command("birdnet-nl", "status", tmp_path / "my logs") == "birdnet-nl status 'my logs'"
    assert train_command("-m", sweep=tmp_path / "a") == "birdnet-nl train -m sweep=a"


def test_the_training_command_is_the_one_that_was_started(tmp_path, monkeypatch, repository):
    checkout = tmp_path / "check out"
    checkout.mkdir()
    shutil.copy(repository / "train.py", checkout / "train.py")
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert train_command(resume=checkout / "logs") == "python train.py resume=logs"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["check out/train.py"])
    assert train_command(resume=checkout / "logs") == "python 'check out/train.py' 'resume=check out/logs'"
