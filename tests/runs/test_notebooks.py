"""The notebooks run from top to bottom, on a small demo and a finished run."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from typer.testing import CliRunner

from birdnet_nl.cli import app
from tests.runs.conftest import ROOT

SMALL_DEMO = {"recordings_per_type": 10, "difficulty": "easy", "seed": 0, "median_s": 5.0}  # as in conftest.py


def execute(notebook: nbformat.NotebookNode, folder: Path) -> list[nbformat.NotebookNode]:
    """Run all cells in `folder` and return their outputs."""
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def count_plots(outputs: list[nbformat.NotebookNode]) -> int:
    return len([output for output in outputs if "image/png" in output.get("data", {})])


@pytest.mark.slow
def test_listen_and_look_plots_three_types_and_the_predictions_of_a_run(tiny_run, cache, tmp_path):
    notebook = nbformat.read(ROOT / "notebooks/01_listen_and_look.ipynb", as_version=4)
    settings = next(cell for cell in notebook.cells if cell.cell_type == "code")
    settings.source += f"\nRUN = {str(tiny_run)!r}\nCACHE = {str(cache)!r}\nDEMO = {SMALL_DEMO!r}\n"
    outputs = execute(notebook, tmp_path)
    players = [output for output in outputs if "<audio" in output.get("data", {}).get("text/html", "")]
    assert count_plots(outputs) == 2 and len(players) == 3


@pytest.mark.slow
def test_old_against_new_trains_the_missing_run_and_compares(main, cache, tiny, tmp_path, monkeypatch):
    logs, overrides = tmp_path / "logs", [*tiny, "evaluation.plots=false"]
    code, screen = main("species=koolmees", "trainer=legacy", "seed=1", *overrides)
    assert code == 0, screen
    settings = {
        "SETS": "legacy,fast", "SEEDS": "1", "LOGS": str(logs), "CACHE": str(cache), "REPOSITORY": str(ROOT),
        "OVERRIDES": " ".join(text for text in overrides if not text.startswith("paths.")),
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    outputs = execute(nbformat.read(ROOT / "notebooks/02_old_against_new.ipynb", as_version=4), tmp_path)
    printed = "".join(output.get("text", "") for output in outputs)
    assert "1 of 2 runs are in" in printed and "SYNTHETIC demo recordings" in printed
    assert len(list(logs.rglob("metrics.json"))) == 2 and list(logs.glob("fast/koolmees/*/metrics.json"))
    assert count_plots(outputs) == 3
    tables = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert len(tables) == 2 and all("Koolmees" in table and "fast" in table for table in tables)


def test_notebooks_are_stored_without_outputs():
    """Sound in an output would be a copy of somebody's recording."""
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        assert not [cell for cell in notebook.cells if cell.get("outputs")], path.name


@pytest.mark.slow
def test_use_a_model_predicts_plots_and_plays_with_an_exported_model(tiny_run, cache, tmp_path):

    notebook = nbformat.read(ROOT / "notebooks/03_use_a_model.ipynb", as_version=4)
    model = tmp_path / "koolmees.onnx"
    exported = CliRunner().invoke(app, ["export", str(tiny_run), "-o", str(model)])
    assert exported.exit_code == 0, exported.output
    settings = next(cell for cell in notebook.cells if cell.cell_type == "code")
    folder = next(cache.rglob("xeno-canto-koolmees"))
    settings.source += f"\nMODEL = {str(model)!r}\nFOLDER = {str(folder)!r}\n"
    outputs = execute(notebook, tmp_path)
    players = [output for output in outputs if "<audio" in output.get("data", {}).get("text/html", "")]
    texts = "".join(output.get("text", "") for output in outputs)
    assert count_plots(outputs) == 3 and len(players) == 1
    assert "segments.csv" in texts and " 0 failures" in texts
