"""Fixtures shared by test files: small recordings on disk, mel parameters as in the YAML, composed configurations."""

import csv
import importlib.util
import json
import logging
import os
from dataclasses import asdict
from functools import cache
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as for `train.py`; read when torch loads its OpenMP
if "PYTEST_XDIST_WORKER" in os.environ:  # one core for each worker of `pytest -n`
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

import numpy as np
import pytest
import soundfile
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from birdnet_nl.audio.mel import MelParams
from birdnet_nl.comparison.finished_runs import read_run
from birdnet_nl.models.registry import build_network
from birdnet_nl.species.table import VARIABLE, species_table

torch.set_num_threads(1)  # a small network is slower on several threads, and much slower beside other work

ROOT = Path(__file__).resolve().parents[1]
SMALL_NETWORK = {
    "_target_": "birdnet_nl.models.emsn_cnn.EmsnCnn", "types": 3, "channels": [4, 8], "hidden": 6,
    "channel_dropout": 0.1, "hidden_dropout": 0.2,
}  # fmt: skip
PITCHES_HZ = {"song": 900.0, "call": 1800.0, "alarm": 3000.0}


@pytest.fixture(autouse=True)
def _process_as_before():
    """Undo what a command in this process changes for the whole process: species table and loggers."""
    table = os.environ.get(VARIABLE)
    watched = ("birdnet_nl", "httpx", "httpcore")
    names = [*watched, *(name for name in logging.root.manager.loggerDict if name.startswith(watched))]
    loggers = [logging.getLogger(name) for name in names]
    for logger in (logging.root, *loggers):  # of the captured output of an earlier test
        for handler in list(logger.handlers):
            if getattr(getattr(handler, "stream", None), "closed", False):
                logger.removeHandler(handler)
    before = [(logger, logger.level, logger.disabled, logger.propagate) for logger in loggers]
    yield
    if table is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = table
    species_table()._outside.clear()
    for logger, level, disabled, propagate in before:
        logger.setLevel(level)
        logger.disabled, logger.propagate = disabled, propagate


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def compose_config():
    """Compose `conf/train.yaml` with overrides, as `python train.py` does."""
    import birdnet_nl.commands.train_main  # noqa: F401  registers the species and the resolvers

    @cache
    def composed(*overrides: str):
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("train", list(overrides))

    return composed


def _mel_from_yaml(name: str) -> MelParams:
    values = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "mel" / f"{name}.yaml"))
    assert values.pop("_target_") == "birdnet_nl.audio.mel.MelParams"
    return MelParams(**values)


@pytest.fixture(scope="session")
def emsn_mel() -> MelParams:
    return _mel_from_yaml("emsn")


@pytest.fixture(scope="session")
def wide_mel() -> MelParams:
    return _mel_from_yaml("wide")


@pytest.fixture(scope="session")
def small_mel() -> MelParams:
    """Cheap to compute, for tests in which the values do not matter; half a second gives 32 frames."""
    return MelParams(
        sample_rate_hz=8000, n_fft=256, hop_samples=128, n_mels=16, f_min_hz=200.0, f_max_hz=4000.0,
        normalisation="segment_peak", floor_db=-80.0, ceiling_db=0.0,
    )  # fmt: skip


@pytest.fixture(scope="session")
def make_sound():
    """Samples of a beeping tone in noise, with another pitch for each type: float32 [samples]."""

    def sound(kind: str = "song", duration_s: float = 1.0, sample_rate_hz: int = 8000, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        time_s = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
        pitch_hz = PITCHES_HZ.get(kind, 500.0) * rng.uniform(0.95, 1.05)
        beeps = np.sin(2 * np.pi * 4 * time_s + rng.uniform(0, 6)) > 0
        tone = 0.4 * np.sin(2 * np.pi * pitch_hz * time_s) * beeps
        return (tone + rng.normal(0, 0.01, len(time_s))).astype(np.float32)

    return sound


@pytest.fixture(scope="session")
def make_finished_run():
    """Make the directory of a finished run without training; see tests/evaluation/run_factory.py."""
    spec = importlib.util.spec_from_file_location("run_factory", ROOT / "tests" / "evaluation" / "run_factory.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_run


@pytest.fixture
def make_shippable_run(make_finished_run, small_mel):
    """As `make_finished_run`, with a checkpoint, a list of recordings, and a given validation metric."""

    def make(folder, *arguments, validation=0.6, weights_seed=0, **options):
        made = make_finished_run(folder, *arguments, **options)
        metrics = made / "metrics.json"
        finished = metrics.stat().st_mtime
        report = json.loads(metrics.read_text())
        report["validation"]["recording_balanced_accuracy"] = validation
        metrics.write_text(json.dumps(report))
        os.utime(metrics, (finished, finished))
        torch.manual_seed(weights_seed)
        description = SMALL_NETWORK | {"types": len(report["types"])}
        network = build_network(description)
        content = {
            "state_dict": {
                **{f"network.{name}": value for name, value in network.state_dict().items()},
                "loss.weight": torch.ones(3),
            },
            "optimizer_states": [{"step": torch.zeros(10_000)}],
            "birdnet_nl": {
                "version": "0.1.0", "types": list(report["types"]), "mel": asdict(small_mel), "network": description,
                "temperature": 1.5, "segment_s": 3.0, "segment_hop_s": 1.5, "species": report["species"],
                "synthetic": report["synthetic"], "history": [{"epoch": 0}],
            },
        }  # fmt: skip
        torch.save(content, made / "checkpoints" / "best.ckpt")
        (made / "config.yaml").write_text(f"species: {report['species']['slug']}\n")
        (made / "splits.csv").write_text(
            "id,split,type,recordist,quality,licence,file\n"
            "XC1,train,song,Ann,A,CC BY-NC-SA 4.0,a.mp3\nXC2,val,call,Ben,B,CC BY-NC-SA 4.0,b.mp3\n"
            "XC3,test,call,,B,,c.mp3\n"
        )
        return read_run(made)

    return make


@pytest.fixture(scope="session")
def write_manifest():
    """Write rows as `recordings.csv` in a folder; the columns are those of the first row."""

    def write(folder: Path, rows: list[dict[str, str]]) -> Path:
        path = folder / "recordings.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.fixture(scope="session")
def make_recordings_folder(make_sound):
    """Make `<root>/xeno-canto-<slug>/<type>/XC….wav` with as many recordings of each type as in `spec`.

    Numbers continue over the types from `first_number`; every sound is different.
    """

    def make(
        root: Path,
        slug: str,
        spec: dict[str, int],
        *,
        duration_s: float = 1.0,
        sample_rate_hz: int = 8000,
        suffix: str = ".wav",
        first_number: int = 1,
        folder_name: str = "",
    ) -> Path:
        folder = root / (folder_name or f"xeno-canto-{slug}")
        number = first_number
        for kind, count in spec.items():
            (folder / kind).mkdir(parents=True, exist_ok=True)
            for _ in range(count):
                samples = make_sound(kind, duration_s, sample_rate_hz, seed=number)
                soundfile.write(folder / kind / f"XC{number}{suffix}", samples, sample_rate_hz)
                number += 1
        return folder

    return make
