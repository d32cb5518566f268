"""The imports keep to the route: back up it, never ahead, and each heavy library at home in a few files."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "birdnet_nl"
FILES = [*sorted(PACKAGE.rglob("*.py")), ROOT / "train.py"]

# Each may import what stands before it. Names of one layer that are folders do not import each other.
LAYERS = [
    {"errors", "files", "species", "console"},
    {"recordings"},
    {"audio"},
    {"models"},
    {"features"},
    {"data"},
    {"training"},
    {"evaluation"},
    {"deploy"},
    {
        *("run", "run_description", "run_directory", "run_origin", "run_phases", "run_results", "run_training"),
        *("practice", "practising", "imitating"),
        *("trained_network", "teaching", "hearing", "trunk", "evaluate_checkpoint", "evaluation_description"),
        *("disk", "sweep", "commands", "cli", "failure", "train"),
    },
]
FIRST, LAST = LAYERS[0], LAYERS[-1]


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def layer_name(file: Path) -> str:
    return file.stem if file.parent in (PACKAGE, ROOT) else file.relative_to(PACKAGE).parts[0]


def rank(name: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if name in layer)


@cache
def imports_of(file: Path, top_level_only: bool = False) -> frozenset[str]:
    """Full names of the modules (and names from modules) that a file imports, also inside functions unless told."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(file)} imports relatively; this test reads whole names"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def importers_of(library: str) -> set[str]:
    return {name_of(file) for file in FILES if any(name.partition(".")[0] == library for name in imports_of(file))}


def test_every_module_has_a_layer():
    known = set().union(*LAYERS) | {"__init__"}
    assert {layer_name(file) for file in FILES} <= known
    assert len(FILES) > 30


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_go_back_up_the_route(file):
    own = layer_name(file)
    ahead = []
    for name in imports_of(file):
        parts = name.split(".")
        if parts[0] != "birdnet_nl" or parts[1] == "__version__":
            continue
        other = parts[1]
        allowed = other == own or rank(other) < rank(own) or (rank(other) == rank(own) and {own, other} <= FIRST | LAST)
        if not allowed:
            ahead.append(name)
    assert not ahead, f"{name_of(file)} imports {', '.join(ahead)}, which lies ahead on the route"


def test_the_ground_imports_nothing_but_itself():
    for name in ("errors", "console"):
        assert not [other for other in imports_of(PACKAGE / f"{name}.py") if other.startswith("birdnet_nl")]


def test_hydra_is_read_in_three_files_and_where_sweeps_are_made():
    in_sweeps = {f"birdnet_nl/sweep/{name}.py" for name in ("composing", "expanding", "job", "sweeper")}
    assert importers_of("hydra") == {
        "train.py",
        "birdnet_nl/species/selection.py",
        "birdnet_nl/runs/train.py",
        *in_sweeps,
    }
    assert {name for name in importers_of("omegaconf") if not name.startswith("birdnet_nl/sweep/")} == {
        "train.py",
        "birdnet_nl/species/selection.py",
        "birdnet_nl/runs/train.py",
        "birdnet_nl/runs/report.py",
        "birdnet_nl/util/run_directory.py",
    }


def test_only_decode_reads_sound():
    allowed = {"birdnet_nl/audio/decode.py", "birdnet_nl/recordings/sound_file.py"}
    writers = {name for name in importers_of("soundfile") if name.startswith("birdnet_nl/recordings/demo")}
    assert importers_of("soundfile") - writers <= allowed
    assert importers_of("soxr") == {"birdnet_nl/audio/resample.py"}
    for name in writers:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "soundfile.read(" not in text, f"{name} may write sounds, not read them"
    for other in ("librosa", "audioread", "pydub", "miniaudio", "torchcodec"):
        assert importers_of(other) == set()


def test_http_is_spoken_in_one_file():
    assert importers_of("httpx") == {"birdnet_nl/recordings/xeno_canto.py"}
    for other in ("requests", "aiohttp", "urllib3", "http"):
        assert importers_of(other) == set()
    assert not [name_of(file) for file in FILES if any(name.startswith("urllib.request") for name in imports_of(file))]


def test_stores_are_read_in_one_file_and_launchers_are_plugins():
    for library in ("fsspec", "obstore"):
        assert importers_of(library) == {"birdnet_nl/recordings/remote.py"}
    for library in ("ray", "submitit", "optuna", "s3fs", "boto3"):
        assert importers_of(library) == set()


def test_lightning_stays_in_training_and_beside_it():
    homes = {
        "birdnet_nl/data/datamodule.py",
        "birdnet_nl/evaluation/tensorboard.py",
        "birdnet_nl/runs/train.py",
        "birdnet_nl/runs/test.py",
        "birdnet_nl/runs/fit.py",
    }
    found = {name for name in importers_of("lightning") if not name.startswith("birdnet_nl/training/")}
    assert found == homes
    assert importers_of("pytorch_lightning") == set()


def test_species_and_recordings_know_no_torch():
    for library in ("torch", "torchaudio", "lightning", "torchmetrics"):
        light = ("birdnet_nl/species/", "birdnet_nl/recordings/", "birdnet_nl/commands/")
        assert [name for name in importers_of(library) if name.startswith(light)] == []


@pytest.mark.parametrize(
    "module",
    ["train", "birdnet_nl.cli", "birdnet_nl.util.failure", "birdnet_nl.data.sources", "birdnet_nl.sweep.sweeper"],
)
def test_entry_points_import_without_torch(module):
    code = (
        f"import sys; import {module};"
        "heavy = {'torch', 'lightning', 'torchaudio', 'librosa', 'scipy', 'matplotlib'};"
        "print(','.join(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_check_itself_sees_an_import_inside_a_function():
    inside = {name for name in imports_of(ROOT / "train.py") if name.startswith("birdnet_nl.runs.train.")}
    assert inside == {"birdnet_nl.runs.train.run"}
    assert not inside & imports_of(ROOT / "train.py", top_level_only=True)
