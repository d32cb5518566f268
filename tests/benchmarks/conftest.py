"""Fixtures of the tests of the benchmarks, which are not part of the installed package."""

import io
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


@pytest.fixture
def in_this_process(monkeypatch):
    """Measure in this process, which saves seconds; arguments and results still pass through JSON."""
    from benchmarks import processes

    def call(function: str, **arguments):
        return json.loads(json.dumps(processes.call(function, json.loads(json.dumps(arguments)))))

    monkeypatch.setattr(processes, "in_own_process", call)
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)


@pytest.fixture(scope="session")
def print_table():
    """Return what a terminal shows of a table."""
    from rich.console import Console

    def print_to_string(table) -> str:
        console = Console(width=200, file=io.StringIO())
        console.print(table)
        return console.file.getvalue()

    return print_to_string
