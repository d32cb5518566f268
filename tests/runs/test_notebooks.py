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


def test_notebooks_are_kept_without_outputs():
    """Sound in an output would be a copy of somebody's recording."""
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        assert not [cell for cell in notebook.cells if cell.get("outputs")], path.name
