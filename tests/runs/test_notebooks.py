"""The notebooks run from top to bottom, on a small demo and on a run just made."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
SMALL_DEMO = {"recordings_per_type": 10, "difficulty": "easy", "seed": 0}


@pytest.mark.slow
def test_listen_and_look_shows_three_types_and_the_answers_of_a_run(train_in_process, cache, tmp_path):
    run_dir = train_in_process(tmp_path / "logs/fast/koolmees/now", "species=koolmees")
    notebook = nbformat.read(ROOT / "notebooks/01_listen_and_look.ipynb", as_version=4)
    settings = next(cell for cell in notebook.cells if cell.cell_type == "code")
    settings.source += f"\nRUN = {str(run_dir)!r}\nCACHE = {str(cache)!r}\nDEMO = {SMALL_DEMO!r}\n"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    players = [output for output in outputs if "<audio" in output.get("data", {}).get("text/html", "")]
    assert len(pictures) == 2 and len(players) == 3


@pytest.mark.slow
def test_old_against_new_trains_what_lacks_and_draws_the_table(train_py, cache, tiny, tmp_path, monkeypatch):
    logs = tmp_path / "logs"
    assert train_py("species=koolmees", "trainer=legacy", "seed=1", *tiny)[0] == 0
    settings = {
        "SETS": "legacy,fast", "SEEDS": "1", "LOGS": str(logs), "CACHE": str(cache), "REPOSITORY": str(ROOT),
        "OVERRIDES": " ".join(text for text in tiny if not text.startswith("paths.")),
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(ROOT / "notebooks/02_old_against_new.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    said = "".join(output.get("text", "") for output in outputs)
    assert "1 of 2 runs lie below" in said and "SYNTHETIC demo recordings" in said
    assert len(list(logs.rglob("metrics.json"))) == 2 and list(logs.glob("fast/koolmees/*/metrics.json"))
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 3
    tables = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert len(tables) == 2 and all("Koolmees" in table and "fast" in table for table in tables)


def test_notebooks_are_kept_without_outputs():
    """Sound in an output would be a copy of somebody's recording."""
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        assert not [cell for cell in notebook.cells if cell.get("outputs")], path.name
