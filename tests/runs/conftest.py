"""Whole runs at a size that takes seconds: few short demo recordings, a coarse mel, a narrow network."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train.py does

ROOT = Path(__file__).resolve().parents[2]

TINY = [
    "data=demo",
    "data.demo.recordings_per_type=10",
    "data.demo.difficulty=easy",
    "data.num_workers=0",
    "mel.n_mels=32",
    "mel.hop_samples=2048",
    "model.channels=[8,16,16,32]",
    "model.hidden=32",
    "trainer.max_epochs=2",
]

TINY_TURBO = [
    "trainer=turbo",
    "data=demo",
    "data.demo.recordings_per_type=10",
    "data.demo.difficulty=easy",
    "mel.n_mels=32",
    "mel.hop_samples=960",
    "model.channels=[8,16]",
    "data.crops.per_epoch=96",
    "trainer.max_epochs=4",
]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demo recordings and mels shared by all runs of a test session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny_of(cache: Path) -> Callable[[Path], list[str]]:
    """Overrides of a tiny run by the folder of its logs."""
    return lambda logs: [*TINY, f"paths.cache={cache}", f"paths.logs={logs}"]


@pytest.fixture
def tiny(tiny_of: Callable[[Path], list[str]], tmp_path: Path) -> list[str]:
    """Overrides of a tiny run whose logs go below `tmp_path`."""
    return tiny_of(tmp_path / "logs")


@pytest.fixture(scope="session")
def train_in_process(cache: Path) -> Callable[..., Path]:
    """Train in this process, as a job of Hydra's would, and give the run directory."""
    sys.path.insert(0, str(ROOT))
    import train  # noqa: F401  registers the species and the resolver
    from birdnet_nl.runs.train import run

    def train_run(run_dir: Path, *overrides: str) -> Path:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            cfg = compose("train", [*TINY, f"paths.cache={cache}", "parameter_set=fast", *overrides])
        run(cfg, run_dir)
        return run_dir

    return train_run


@pytest.fixture(scope="session")
def train_turbo_in_process(cache: Path) -> Callable[..., Path]:
    """Train as `trainer=turbo`, in this process, and give the run directory."""
    sys.path.insert(0, str(ROOT))
    import train  # noqa: F401  registers the species and the resolvers
    from birdnet_nl.runs.train import run

    def train_run(run_dir: Path, *overrides: str, resume: bool = False) -> Path:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            cfg = compose("train", [*TINY_TURBO, f"paths.cache={cache}", "parameter_set=turbo", *overrides])
        run(cfg, run_dir, resume=resume)
        return run_dir

    return train_run


@pytest.fixture(scope="session")
def start_train_py() -> Callable[..., subprocess.Popen]:
    """Start `python train.py …` as a user would."""

    def start(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *arguments],
            cwd=cwd,
            env={**os.environ, "COLUMNS": "200", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


@pytest.fixture(scope="session")
def train_py(start_train_py: Callable[..., subprocess.Popen]) -> Callable[..., tuple[int, str]]:
    """Run `python train.py …` to its end: exit code and everything on the screen."""

    def finish(*arguments: str, **options) -> tuple[int, str]:
        process = start_train_py(*arguments, **options)
        output, _ = process.communicate(timeout=400)
        return process.returncode, output

    return finish
