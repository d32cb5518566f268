"""The command line itself: fast imports, renamed commands, missing extras, and arguments passed on to training."""

import subprocess
import sys
from types import ModuleType

import pytest

HEAVY = ("torch", "lightning", "numpy", "pandas", "matplotlib", "scipy", "httpx", "mutagen", "jinja2")


def test_help_names_the_commands(cli):
    output = cli("--help").output
    assert all(f" {name} " in output for name in ("download", "import", "data", "train", "evaluate", "pretrain"))
    assert "XENO_CANTO_API_KEY" in cli("download", "--help").output
    assert "vogelgeluiden" in cli("import", "-h").output


def test_the_command_line_imports_nothing_heavy():
    code = f"import sys, birdnet_nl.cli; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_a_renamed_command_is_one_sentence_with_the_new_name(cli):
    result = cli("practise", "--recordings", "60")
    assert result.exit_code == 2
    assert result.output == "birdnet-nl practise is now called birdnet-nl pretrain\n"


@pytest.mark.parametrize(
    "words",
    [[], ["--help"], ["-h"], ["-m", "species=koolmees,merel", "--cfg", "job", "+a=1", "~b", "-cn", "x", "c=[1,2]"]],
)
def test_train_passes_its_arguments_on(cli, monkeypatch, words):
    received = []
    module = ModuleType("birdnet_nl.commands.train_main")
    module.main = lambda arguments: received.append(arguments) or 3
    monkeypatch.setitem(sys.modules, "birdnet_nl.commands.train_main", module)
    assert cli("train", *words).exit_code == 3
    assert received == [words]


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("torch", ["train", "species=koolmees"]),
        ("torch", ["evaluate", "logs"]),
        ("torch", ["pretrain"]),
        ("torch", ["promote", "logs", "--version", "1"]),
        ("matplotlib", ["compare", "logs", "--html", "x.html"]),
    ],
)
def test_a_missing_extra_is_one_sentence_with_the_install_command(refuses, monkeypatch, module, words):
    monkeypatch.setattr("birdnet_nl.util.errors.find_spec", lambda name: None if name == module else object())
    refuses(f'needs {module}, which is not installed; install it with: pip install "birdnet-nl[train]"', *words)


def test_pretraining_on_too_few_recordings_is_refused(refuses):
    refuses("--recordings 5 and --test-recordings 600 must be at least 60", "pretrain", "--recordings", "5")
