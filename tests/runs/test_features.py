"""Runs on features, and heads on them: from the command line's values to a tested classifier that others can use."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.data.sources import DEMO_MARK
from birdnet_nl.data.splits import read_splits
from birdnet_nl.evaluation.predictions_file import read_predictions
from birdnet_nl.inference.classifier import load_trained
from birdnet_nl.inference.predict import predict_calibrated
from birdnet_nl.recordings.folder import read_species_folder
from birdnet_nl.species.table import get_species
from birdnet_nl.training.checkpoint import read_checkpoint
from birdnet_nl.util.failure import explain

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
DEMO = ["data=demo", "data.demo.recordings_per_type=10", "data.demo.difficulty=easy", "mel=wide_coarse"]
POOL = ["species=pool", "data.pool=[koolmees,merel]"]


@pytest.fixture(scope="module")
def train_small(cache) -> Callable[..., Path]:
    """Train on the small demo; gives the run directory."""
    import train  # noqa: F401  registers the species and the resolvers
    from birdnet_nl.runs.train import run

    def made(run_dir: Path, *overrides: str, resume: bool = False) -> Path:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            cfg = compose("train", [*DEMO, f"paths.cache={cache}", "parameter_set=test", *overrides])
        run(cfg, run_dir, resume=resume)
        return run_dir

    return made


@pytest.fixture(scope="module")
def pooled(train_small, tmp_path_factory) -> Path:
    return train_small(tmp_path_factory.mktemp("features") / "pooled", *POOL, "model=bands")


@pytest.fixture(scope="module")
def compact(train_small, tmp_path_factory) -> Path:
    turbo = ["trainer=turbo", "model.channels=[8,16]", "data.crops.per_epoch=96", "trainer.max_epochs=4"]
    return train_small(tmp_path_factory.mktemp("features") / "compact", *POOL, *turbo)


STUDENT = [
    *("model=student", "data.features.teacher._target_=birdnet_nl.embeddings.bands.Bands", "data.features.steps=30"),
    "model.dimensions=[64,1080,96,96,96]",
]


@pytest.fixture(scope="module")
def student(train_small, tmp_path_factory) -> Path:
    return train_small(tmp_path_factory.mktemp("features") / "student", *POOL, *STUDENT)


def metrics_of(run_dir: Path) -> dict:
    return json.loads((run_dir / "metrics.json").read_text())


def probabilities_in(run_dir: Path) -> dict[str, list[float]]:
    return {row.recording_id: list(row.probabilities.values()) for row in read_predictions(run_dir / "predictions.csv")}


def test_a_run_on_features_leaves_what_every_run_leaves(pooled):
    report = metrics_of(pooled)
    names = ["predictions.csv", "splits.csv", "confusion.png", "reliability.png", "examples.png", "curves.png"]
    assert [name for name in names if not (pooled / name).is_file()] == []
    assert list(pooled.glob("events.out.tfevents*")) and list(pooled.glob("projector_config.pbtxt"))
    assert report["features"]["name"] == "bands" and report["decision"]["pooling"] == "network"
    assert report["epochs"] == 1 and report["calibration"]["fitted_on"] >= 10
    assert read_checkpoint(pooled / "checkpoints/best.ckpt")["birdnet_nl"]["features"] == report["features"]


def test_how_sounds_move_tells_the_types_of_the_demo_apart(train_small, tmp_path):
    report = metrics_of(train_small(tmp_path / "run", *POOL, "model=modulation"))
    assert report["features"]["name"] == "modulation" and report["features"]["licence"] == ""
    assert report["results"]["recording"]["auroc"] > 0.75


def test_layers_that_have_practised_are_not_judged_on_the_demo(train_small, tmp_path):
    with pytest.raises(Exception) as refused:
        train_small(tmp_path / "run", *POOL, "model=practised")
    assert "features of practised cannot be judged on the demo" in explain(refused.value)


def test_layers_that_have_practised_travel_with_the_checkpoint(pooled, train_small, cache, tmp_path):
    for slug in ("koolmees", "merel"):  # without the mark of the demo, as if real
        (folder,) = (cache / "demo").rglob(f"xeno-canto-{slug}")
        shutil.copytree(folder, tmp_path / "real" / folder.name, ignore=shutil.ignore_patterns(DEMO_MARK))
    where = ["data=xeno_canto", f"data.root={tmp_path / 'real'}", "practice.use=never"]
    run_dir = train_small(tmp_path / "run", *where, *POOL, "model=practised")
    report, card = metrics_of(run_dir), read_checkpoint(run_dir / "checkpoints/best.ckpt")["birdnet_nl"]
    assert report["features"]["name"] == "practised" and report["results"]["recording"]["auroc"] > 0.75
    assert sum(value.numel() for value in card["feature_weights"].values()) > 300_000
    out = tmp_path / "out"
    given = ["--data", str(tmp_path / "real"), "--cache", str(cache), "--out", str(out)]
    result = CliRunner().invoke(app, ["evaluate", str(run_dir), *given])
    assert result.exit_code == 0, result.output
    theirs, ours = probabilities_in(out), probabilities_in(run_dir)
    assert theirs.keys() == ours.keys()
    for id, probabilities in ours.items():
        np.testing.assert_allclose(theirs[id], probabilities, atol=1e-3)


def test_a_student_needs_its_teacher_in_training_alone(student, cache, tmp_path, monkeypatch):
    report = metrics_of(student)
    assert report["features"]["name"] == "student" and report["features"]["credit"] == "a student of bands"
    assert not (student / "student.pt").exists()  # it is in the checkpoint
    monkeypatch.setattr("birdnet_nl.embeddings.bands.Bands.open", lambda self: pytest.fail("the teacher was asked"))
    test_an_evaluation_gives_the_answers_of_the_run(student, cache, tmp_path)


def test_a_student_that_was_stopped_does_not_learn_to_hear_again(train_small, tmp_path, monkeypatch):
    run_dir = tmp_path / "run"
    with monkeypatch.context() as stopped:
        stopped.setattr("birdnet_nl.runs.train.find_practice", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train_small(run_dir, *POOL, *STUDENT)
    learned = torch.load(run_dir / "student.pt", weights_only=True)
    monkeypatch.setattr("birdnet_nl.training.imitating.imitate", lambda *_: pytest.fail("it learned again"))
    train_small(run_dir, *POOL, *STUDENT, resume=True)
    kept = read_checkpoint(run_dir / "checkpoints/best.ckpt")["birdnet_nl"]["feature_weights"]
    assert all(torch.equal(kept[name], value) for name, value in learned.items())


def test_an_evaluation_gives_the_answers_of_the_run(pooled, cache, tmp_path):
    folders = ["--cache", str(cache), "--out", str(tmp_path / "out"), "--data", str(cache / "demo")]
    result = CliRunner().invoke(app, ["evaluate", str(pooled), *folders])
    assert result.exit_code == 0, result.output
    theirs, ours = probabilities_in(tmp_path / "out"), probabilities_in(pooled)
    assert theirs.keys() == ours.keys()
    for id, probabilities in ours.items():
        np.testing.assert_allclose(theirs[id], probabilities, atol=1e-3)


def test_what_was_heard_is_calibrated_and_in_the_order_asked_for(pooled, compact, cache):
    found = read_species_folder(next((cache / "demo").rglob("xeno-canto-merel")), get_species("merel"))
    found = [recording for recording in found if recording.vocalization_type][:7]
    for run_dir in (pooled, compact):
        trained = load_trained(run_dir)
        probabilities, embeddings = predict_calibrated(trained, found, cache / "mel")
        reversed_probabilities, _ = predict_calibrated(trained, found[::-1], cache / "mel")
        assert probabilities.shape == (7, 3) and len(embeddings) == 7 and embeddings.isfinite().all()
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(7))
        torch.testing.assert_close(probabilities, reversed_probabilities.flip(0), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("trunk", ["pooled", "compact", "student"])
def test_a_head_is_judged_on_recordings_that_neither_it_nor_its_trunk_met(base, request, train_small, tmp_path):
    trunk_dir = request.getfixturevalue(base)
    run_dir = train_small(tmp_path / "head", "species=merel", "trainer=head", f"trunk={trunk_dir}")
    report = metrics_of(run_dir)
    assert report["head"]["fitted"] and 0 < report["head"]["moved"] < 0.5
    assert report["head"]["pooled"]["count"] == report["results"]["recording"]["count"]
    own, trunks = read_splits(run_dir / "splits.csv"), read_splits(trunk_dir / "splits.csv")
    assert own == {id: trunks[id if id in trunks else f"merel/{id}"] for id in own}
    met = {path.parents[1].name for path in load_trained(run_dir).trained_on.files}
    assert met == {"xeno-canto-koolmees", "xeno-canto-merel"}  # what its trunk met too


def test_a_head_with_a_huge_penalty_gives_the_answers_of_its_trunk(pooled, train_small, tmp_path):
    run_dir = train_small(tmp_path / "head", "species=merel", "trainer=head", f"trunk={pooled}", "model.penalty=1e9")
    report = metrics_of(run_dir)
    assert report["head"]["moved"] < 1e-3
    assert report["results"]["recording"]["auroc"] == pytest.approx(report["head"]["pooled"]["auroc"], abs=1e-3)


def test_with_too_few_recordings_the_answer_for_all_species_stands(pooled, train_small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("birdnet_nl.runs.base_model.LEAST_OF_TYPE", 100)
    report = metrics_of(train_small(tmp_path / "head", "species=merel", "trainer=head", f"trunk={pooled}"))
    assert not report["head"]["fitted"] and report["head"]["moved"] < 1e-4
    assert "too few training recordings of merel for a head" in " ".join(capsys.readouterr().err.split())


def test_a_species_the_trunk_never_met_gets_a_head_too(pooled, train_small, tmp_path):
    report = metrics_of(train_small(tmp_path / "head", "species=vink", "trainer=head", f"trunk={pooled}"))
    assert report["species"]["slug"] == "vink" and report["head"]["fitted"]
    assert all(report["counts"]["recordings"][split] for split in ("train", "val", "test"))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["trainer=head"], "trainer=head needs trunk=<run directory>"),
        (["trainer=head", "trunk=nowhere"], "trunk=nowhere is not a run directory"),
        (["trunk=nowhere"], "trunk=nowhere is for trainer=head"),
        (["trainer=head", "trunk=nowhere", "data.source=spectrograms"], "data=spectrograms holds parts of recordings"),
        (["model=bands", "teacher=nowhere"], "teacher= is for a network that is trained in steps"),
        (["model=bands", "data.segment_s=5"], "data.segment_s=5 must be 3.0 with features of bands"),
        (["model=bands", "model.pooling=mean"], "model.pooling=mean must be a list of some of mean"),
    ],
)
def test_mistakes_are_told_in_a_sentence(overrides, sentence, train_small, tmp_path):
    with pytest.raises(Exception) as caught:
        train_small(tmp_path / "run", "species=merel", *overrides)
    assert sentence in explain(caught.value)


@pytest.mark.parametrize("mistake", ["model.landmarks=1", "model.penalty=0", "model.kernel_rate=-1"])
def test_a_network_that_cannot_be_is_refused_before_anything_takes_time(mistake, train_small, tmp_path, monkeypatch):
    monkeypatch.setattr("birdnet_nl.runs.train.instantiate", _without_data)
    with pytest.raises(Exception) as caught:
        train_small(tmp_path / "run", *POOL, "model=modulation", mistake)
    assert mistake in explain(caught.value)


def _without_data(node, **settings):
    target = (node or {}).get("_target_", "")
    return pytest.fail("recordings were looked for") if "DataModule" in target else instantiate(node, **settings)
