"""Whole runs at a size that takes seconds: few short demo recordings, a coarse mel, a narrow network.

Finished runs are made once and shared by all tests; a test that changes one works on a copy.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train.py does

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = Path(__file__).parent / "extension"  # modules from outside the package, and their conf/

DEMO = ["data=demo", "data.demo.recordings_per_type=10", "data.demo.difficulty=easy", "data.demo.median_s=5.0"]
TINY = [
    *DEMO,
    "data.num_workers=0",
    "mel.n_mels=32",
    "mel.hop_samples=2048",
    "model.channels=[8,16,16,32]",
    "model.hidden=32",
    "trainer.max_epochs=2",
]
TINY_TURBO = [
    "trainer=turbo",
    *DEMO,
    "mel.n_mels=32",
    "mel.hop_samples=960",
    "model.channels=[8,16]",
    "data.crops.per_epoch=96",
    "trainer.max_epochs=4",
]
EMBEDDINGS = [  # of a model from outside the package
    f"hydra.searchpath=[file://{EXTENSION / 'conf'}]",
    "trainer=frozen",
    *DEMO,
    "mel=wide_coarse",
    "embeddings=my_levels",
    "model.blocks=[96,96]",
]
POOL = ["species=pool", "data.pool=[koolmees,merel]"]


def read_metrics(run_dir: Path) -> dict:
    return json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demo recordings, mels and embeddings shared by all runs of a test session."""
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
def extension() -> Path:
    """The folder of modules from outside the package, which can be imported from now on."""
    if str(EXTENSION) not in sys.path:
        sys.path.append(str(EXTENSION))
    return EXTENSION


@pytest.fixture(scope="session")
def compose_run(cache: Path) -> Callable[..., DictConfig]:
    """Compose the configuration of a run from overrides, as a Hydra job would."""
    import birdnet_nl.sweep.job  # noqa: F401  registers the species and the resolvers
    from birdnet_nl.util.conf_values import conf_dir

    def composed(*overrides: str) -> DictConfig:
        names = [text.partition("=")[2] for text in overrides if text.startswith("trainer=")]
        parameter_set = [f"parameter_set={[*names, 'fast'][0]}"]  # which Hydra knows in a job only
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            return compose("train", [f"paths.cache={cache}", *parameter_set, *overrides])

    return composed


@pytest.fixture(scope="session")
def train(compose_run: Callable[..., DictConfig]) -> Callable[..., Path]:
    """Train in this process, as a Hydra job would, and return the run directory."""
    from birdnet_nl.runs.train import run

    def trained(run_dir: Path, settings: Sequence[str], *overrides: str, resume: bool = False) -> Path:
        run(compose_run(*settings, *overrides), run_dir, resume=resume)
        return run_dir

    return trained


@pytest.fixture(scope="session")
def train_in_process(train: Callable[..., Path]) -> Callable[..., Path]:
    """Train as `trainer=fast`, at a tiny size."""
    return lambda run_dir, *overrides, resume=False: train(run_dir, TINY, *overrides, resume=resume)


@pytest.fixture(scope="session")
def train_turbo_in_process(train: Callable[..., Path]) -> Callable[..., Path]:
    """Train as `trainer=turbo`, at a tiny size."""
    return lambda run_dir, *overrides, resume=False: train(run_dir, TINY_TURBO, *overrides, resume=resume)


@pytest.fixture(scope="session")
def train_embeddings(train: Callable[..., Path], extension: Path) -> Callable[..., Path]:
    """Train a classifier on embeddings, or a head with `trainer=head base=…`."""

    def trained(run_dir: Path, *overrides: str, resume: bool = False) -> Path:
        return train(run_dir, [*DEMO, "mel=wide_coarse"], *overrides, resume=resume)

    return trained


@pytest.fixture(scope="session")
def tiny_run(train_in_process: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of `trainer=fast`, with enough validation recordings to fit a temperature."""
    shares = "data.shares={train: 0.4, val: 0.4, test: 0.2}"
    overrides = ["species=koolmees", "trainer.max_epochs=4", "trainer.accelerator=cpu", shares]
    return train_in_process(tmp_path_factory.mktemp("runs") / "koolmees", *overrides)


@pytest.fixture(scope="session")
def two_types_run(train_in_process: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of `trainer=fast` without calls."""
    overrides = ["species=koolmees", "data.types=[alarm,song]", "trainer.max_epochs=1", "evaluation.plots=false"]
    return train_in_process(tmp_path_factory.mktemp("runs") / "two-types", *overrides)


@pytest.fixture(scope="session")
def turbo_run(train_turbo_in_process: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of `trainer=turbo` for one species."""
    return train_turbo_in_process(tmp_path_factory.mktemp("runs") / "turbo", "species=koolmees")


@pytest.fixture(scope="session")
def turbo_pool_run(train_turbo_in_process: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of `trainer=turbo` for two species, one of three folds."""
    overrides = [*POOL, "data.folds=3", "data.fold=1"]
    return train_turbo_in_process(tmp_path_factory.mktemp("runs") / "turbo-pool", *overrides)


@pytest.fixture(scope="session")
def embeddings_run(train_embeddings: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run for two species on the embeddings of a model from outside the package."""
    return train_embeddings(tmp_path_factory.mktemp("runs") / "embeddings", *EMBEDDINGS, *POOL)


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


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str]]:
    """Call `python train.py …` in this process: exit code and everything on the screen."""
    from birdnet_nl.commands import train_main as main_module

    def called(*arguments: str) -> tuple[int, str]:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py")])
        capsys.readouterr()
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        try:
            code = main_module.main(list(arguments))
        except SystemExit as stopped:  # of a job that failed
            code = stopped.code
        finally:  # Hydra has made a log file of the run
            root.handlers[:] = handlers
            root.setLevel(level)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return called
