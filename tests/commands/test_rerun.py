"""`birdnet-nl rerun`: every difference by name, a new folder beside the run, and a real repetition."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from birdnet_nl.commands.rerun import differing_conditions, differing_metrics, new_folder

ROOT = Path(__file__).resolve().parents[2]
REPORT = {
    "validation": {"loss": 0.5}, "epochs": 3, "results": {"recording": {"confusion": [[5, 1], [2, 4]], "auroc": None}},
    "versions": {"torch": "2.13.0"}, "machine": {"host": "nas"}, "seconds": {"train": 5.0},
}  # fmt: skip


def test_the_same_report_has_no_differences():
    slower = copy.deepcopy(REPORT) | {"seconds": {"train": 9.0}}
    assert differing_metrics(REPORT, slower) == ([], 6)
    assert differing_conditions(REPORT, slower) == []


def test_every_difference_is_named():
    other = copy.deepcopy(REPORT)
    other["validation"]["loss"] = 0.5000001
    other["results"]["recording"]["confusion"][1][0] = 3
    other["versions"]["torch"] = "2.14.0"
    other["git_commit"] = "abc"  # missing in the older run
    assert differing_metrics(REPORT, other)[0] == [
        ("validation/loss", 0.5, 0.5000001),
        ("results/recording/confusion/1/0", 2, 3),
    ]
    assert differing_conditions(REPORT, other) == [("versions/torch", "2.13.0", "2.14.0")]


def test_the_new_folder_is_beside_the_run_and_keeps_the_mark(tmp_path):
    run = tmp_path / "2026-01-01_10-00-00-synthetic"
    assert new_folder(run).name == "2026-01-01_10-00-00-rerun1-synthetic"
    new_folder(run).mkdir()
    assert new_folder(run).name == "2026-01-01_10-00-00-rerun2-synthetic"
    assert new_folder(tmp_path / "3").name == "3-rerun1"


@pytest.mark.parametrize("existing", [(), ("config.yaml",)])
def test_only_a_finished_run_is_repeated(refuses, tmp_path, existing):
    for name in existing:
        (tmp_path / name).touch()
    missing = "metrics.json" if existing else "config.yaml"
    refuses(f"holds no {missing}, so it is not a finished run", "rerun", tmp_path)


@pytest.mark.slow
def test_a_repeated_run_is_identical(tmp_path):
    words = [
        "data=demo", "data.demo.recordings_per_type=8", "data.num_workers=0", "mel.n_mels=32", "mel.hop_samples=2048",
        "model.channels=[8,8,8,8]", "model.hidden=8", "trainer.max_epochs=1", "species=koolmees", "engine.threads=1",
        f"paths.cache={tmp_path / 'cache'}", f"hydra.run.dir={tmp_path / 'run'}",
    ]  # fmt: skip
    environment = {**os.environ, "COLUMNS": "200", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "birdnet_nl.cli"]
    subprocess.run([*command, "train", *words], cwd=ROOT, env=environment, check=True, capture_output=True)
    done = subprocess.run(
        [*command, "rerun", str(tmp_path / "run")],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "identical: all" in done.stdout, done.stdout
    report = json.loads((tmp_path / "run-rerun1" / "metrics.json").read_text())
    assert report["results"] == json.loads((tmp_path / "run" / "metrics.json").read_text())["results"]
    assert (tmp_path / "run-rerun1" / ".hydra" / "overrides.yaml").is_file()
