"""Imports follow the data flow: a package imports only from packages before it, and heavy libraries have few homes."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "birdnet_nl"
FILES = [*sorted(PACKAGE.rglob("*.py")), ROOT / "train.py"]

ORDER = (
    "util", "species", "decode", "recordings", "synthetic", "audio", "models", "embeddings", "data", "training",
    "evaluation", "comparison", "inference", "prediction", "stations", "live", "runs", "sweep", "deploy", "commands",
    "cli", "train",
)  # fmt: skip


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def package_of(file: Path) -> str:
    """The package of a file; `audio/decode_*.py`, which read files, serve `recordings` too: a layer before it."""
    if file.parent == PACKAGE / "audio" and file.name.startswith("decode_"):
        return "decode"
    return file.stem if file.parent in (PACKAGE, ROOT) else file.relative_to(PACKAGE).parts[0]


@cache
def imports_of(file: Path, top_level_only: bool = False) -> frozenset[str]:
    """Full names of the modules (and names from modules) that a file imports, by default also inside functions."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(file)} imports relatively; this test reads full names"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def importers_of(*libraries: str) -> set[str]:
    return {name_of(file) for file in FILES if {name.partition(".")[0] for name in imports_of(file)} & set(libraries)}


def below(*packages: str) -> tuple[str, ...]:
    return tuple(f"birdnet_nl/{package}/" for package in packages)


def test_only_the_version_and_the_command_line_are_directly_in_the_package():
    assert {file.name for file in PACKAGE.glob("*.py")} == {"__init__.py", "cli.py"}
    assert {package_of(file) for file in FILES} == {*ORDER, "__init__"}


@pytest.mark.parametrize("file", [file for file in FILES if file != PACKAGE / "__init__.py"], ids=name_of)
def test_a_package_imports_only_from_packages_before_it(file):
    own = package_of(file)
    names = [name for name in imports_of(file) if name.startswith("birdnet_nl.")]
    imported = {"decode" if name.startswith("birdnet_nl.audio.decode_") else name.split(".")[1] for name in names}
    imported.discard("__version__")
    later = {package for package in imported - {own} if ORDER.index(package) > ORDER.index(own)}
    assert not later, f"{name_of(file)} imports from {', '.join(later)}, which comes later in the data flow"


def test_load_is_the_only_import_of_the_package_itself():
    assert imports_of(PACKAGE / "__init__.py", top_level_only=True) <= {
        "importlib.metadata.PackageNotFoundError", "importlib.metadata.version", "pathlib.Path", "typing.TYPE_CHECKING",
    }  # fmt: skip


def test_exported_models_predict_without_torch():
    """In one process, because other imports would hide that of torch."""
    code = (
        "import sys; import birdnet_nl.inference.onnx_model, birdnet_nl.inference.model, birdnet_nl.inference.records;"
        "heavy = {'torch', 'lightning', 'torchaudio', 'matplotlib', 'omegaconf', 'onnx', 'pandas', 'sklearn'};"
        "print(','.join(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def modules() -> dict[str, Path]:
    return {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in FILES}


def modules_in(imports: frozenset[str], paths: dict[str, Path]) -> set[str]:
    return {module for module in paths if any(f"{name}.".startswith(f"{module}.") for name in imports)}


def test_there_is_no_import_cycle():
    paths = modules()
    edges = {name: modules_in(imports_of(file), paths) - {name} for name, file in paths.items()}
    checked: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"import cycle: {' -> '.join((*path, name))}"
        if name not in checked:
            for other in sorted(edges[name]):
                visit(other, (*path, name))
            checked.add(name)

    for name in edges:
        visit(name, ())


def test_hydra_is_used_where_runs_and_sweeps_are_composed():
    assert importers_of("hydra") == {
        "birdnet_nl/commands/train_main.py",
        "birdnet_nl/runs/fit.py",
        "birdnet_nl/runs/train.py",
        "birdnet_nl/species/selection.py",
        *(f"birdnet_nl/sweep/{name}.py" for name in ("arguments", "job", "path_arguments", "sweeper")),
    }
    omegaconf = {name for name in importers_of("omegaconf") if not name.startswith("birdnet_nl/sweep/")}
    assert omegaconf == {
        "birdnet_nl/commands/train_main.py",
        "birdnet_nl/runs/final.py",
        "birdnet_nl/runs/fit.py",
        "birdnet_nl/runs/report.py",
        "birdnet_nl/runs/train.py",
        "birdnet_nl/species/selection.py",
        "birdnet_nl/util/run_directory.py",
    }


def test_only_decode_reads_sound():
    readers = {"birdnet_nl/audio/decode_blocks.py", "birdnet_nl/audio/decode_soundfile.py"}
    synthetic = {name for name in importers_of("soundfile") if name.startswith("birdnet_nl/synthetic/")}
    writers = {"birdnet_nl/audio/encode.py", *synthetic}
    assert importers_of("soundfile") - writers == readers
    assert importers_of("soxr") == {"birdnet_nl/audio/resample.py", "birdnet_nl/audio/resample_stream.py"}
    for name in writers:
        assert "soundfile.read(" not in (ROOT / name).read_text(encoding="utf-8"), f"{name} may only write sound"
    assert importers_of("av") == {"birdnet_nl/audio/decode_av.py"}
    assert importers_of("librosa", "audioread", "pydub", "miniaudio", "torchcodec") == set()


def test_http_is_used_for_xeno_canto_and_stations_and_remote_storage_in_one_file():
    assert importers_of("httpx") == {
        "birdnet_nl/recordings/xeno_canto.py",
        *(f"birdnet_nl/stations/birdnet_go{part}.py" for part in ("", "_api", "_login", "_stream")),
        "birdnet_nl/stations/http.py",
        "birdnet_nl/stations/webhook.py",
    }
    assert importers_of("requests", "aiohttp", "urllib3", "http") == set()
    assert not [name_of(file) for file in FILES if any(name.startswith("urllib.request") for name in imports_of(file))]
    assert importers_of("fsspec", "obstore") == {"birdnet_nl/recordings/remote.py"}
    assert importers_of("ray", "submitit", "optuna", "s3fs", "boto3") == set()


def test_lightning_is_used_in_the_datamodule_in_training_and_in_runs():
    homes = ("birdnet_nl/data/datamodule.py", "birdnet_nl/evaluation/tensorboard.py", *below("training", "runs"))
    assert [name for name in importers_of("lightning") if not name.startswith(homes)] == []
    assert importers_of("pytorch_lightning") == set()


def test_recordings_utilities_and_commands_do_not_import_torch():
    light = (
        *below("species", "recordings", "synthetic", "util", "prediction", "stations", "live", "commands"),
        "birdnet_nl/cli.py",
        "train.py",
    )
    light += ("birdnet_nl/audio/decode",)
    heavy = importers_of("torch", "torchaudio", "lightning", "torchmetrics")
    assert [name for name in heavy if name.startswith(light)] == []


@pytest.mark.parametrize(
    "module",
    ["birdnet_nl.commands.train_main", "birdnet_nl.cli", "birdnet_nl.data.sources", "birdnet_nl.sweep.sweeper"],
)
def test_entry_points_import_without_torch(module):
    code = (
        f"import sys; import {module};"
        "heavy = {'torch', 'lightning', 'torchaudio', 'librosa', 'scipy', 'matplotlib'};"
        "print(','.join(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_check_sees_an_import_inside_a_function():
    file = PACKAGE / "commands" / "train_main.py"
    inside = {name for name in imports_of(file) if name.startswith("birdnet_nl.runs.")}
    assert inside == {"birdnet_nl.runs.train.run"} and not inside & imports_of(file, top_level_only=True)
