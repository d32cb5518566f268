"""Search and reading of finished runs, including unfinished, broken and older ones."""

import json
from dataclasses import fields

import pytest

from birdnet_nl.comparison.compare import compare_runs
from birdnet_nl.comparison.finished_runs import find_runs, read_run, upgrade_report
from birdnet_nl.training.engine import EngineState
from birdnet_nl.util.errors import DataError


def test_runs_are_found_at_any_depth_and_once(tmp_path, make_finished_run):
    make_finished_run(tmp_path / "fast/koolmees/a")
    make_finished_run(tmp_path / "sweep-x/legacy/merel/7", "legacy", "merel")
    (tmp_path / "fast/koolmees/b").mkdir()
    (tmp_path / "fast/koolmees/b/config.yaml").touch()
    (tmp_path / "notes").mkdir()
    found = find_runs([tmp_path, tmp_path / "fast"])
    assert [(run.subject, run.parameter_set) for run in found.runs] == [("koolmees", "fast"), ("merel", "legacy")]
    assert [folder.name for folder in found.unfinished] == ["b"] and not found.broken
    assert find_runs([tmp_path / "fast/koolmees/a"]).runs == found.runs[:1]


def test_directories_within_a_run_are_skipped(tmp_path, make_finished_run):
    run = make_finished_run(tmp_path / "a")
    make_finished_run(run / "checkpoints" / "inner")
    assert len(find_runs([tmp_path]).runs) == 1


def test_the_values_of_a_run_are_read(tmp_path, make_finished_run):
    folder = make_finished_run(tmp_path / "a", "legacy", "zwarte_mees", 3, fold=1, folds=5, synthetic=True)
    run = read_run(folder)
    assert (run.subject, run.dutch, run.seed, run.fold, run.folds) == ("zwarte_mees", "Zwarte Mees", 3, 1, 5)
    assert run.synthetic and run.types == ("song", "call", "alarm") and run.machine == "nas x86"
    assert run.seconds["train"] == 100.0 and run.epochs == 4 and run.training_segments == 900
    assert run.workers["num_workers"] == 0 and run.workers["precision"] == "bf16"
    assert run.workers.keys() - {"num_workers", "threads"} < {field.name for field in fields(EngineState)}
    assert None not in run.workers.values()


def test_a_run_without_newer_keys_is_read(tmp_path, make_finished_run):
    run = read_run(make_finished_run(tmp_path / "a", old=True))
    assert (run.split_by, run.pool, run.folds, run.test_fingerprint, run.machine) == ("recording", (), None, "", "")


def test_overrides_of_the_training_and_of_its_speed_are_separated(tmp_path, make_finished_run):
    overrides = ["data.root=/nas/x", "paths.logs=/tmp/l", "engine.threads=2", "+model=compact_cnn", "optimizer.lr=0.01"]
    run = read_run(make_finished_run(tmp_path / "a", overrides=overrides, num_workers=0))
    assert run.variant == ("+model=compact_cnn", "optimizer.lr=0.01")
    assert run.worker_overrides == ("data.num_workers=0", "engine.threads=2")


OLD_REPORT = {  # of version 0.1, shortened
    "birdnet_nl": "0.1.0", "synthetic": False, "species": {"slug": "merel", "dutch": "Merel"},
    "parameter_set": "student", "seed": 1, "types": ["song", "call"],
    "counts": {"recordings": {"test": {"song": 10, "call": 10}}, "several_types": 4},
    "features": {"name": "student"}, "practice": {"use": "auto"}, "teacher": None, "teacher_features": None,
    "head": {"trunk": "logs/pool", "penalty": 0.3, "moved": 0.1, "fitted": True},
    "parameters": {"parameter_set": "student", "threads": 2},
    "results": {"recording": {"balanced_accuracy": 0.75, "macro_f1": 0.74, "accuracy": 0.75}},
    "data_fingerprint": "0123", "test_fingerprint": "4567",
}  # fmt: skip
OLD_OVERRIDES = [
    "species=merel", "trainer=fast", "model=student", "data.several_weight=0.5", "practice.use=auto",
    "practice.recordings=800", "model.penalty=1", "evaluation.figures=false",
]  # fmt: skip


def write_run(folder, report, overrides):
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {text}\n" for text in overrides))
    (folder / "metrics.json").write_text(json.dumps(report))
    return folder


def test_a_report_of_version_0_1_gets_the_keys_of_this_version():
    before = json.dumps(OLD_REPORT)
    upgraded = upgrade_report(OLD_REPORT)
    assert upgraded["embeddings"] == {"name": "student"} and upgraded["pretraining"] == {"use": "auto"}
    assert upgraded["counts"]["multilabel"] == 4
    assert upgraded["head"] == {"base": "logs/pool", "l2": 0.3, "mean_change": 0.1, "fitted": True}
    assert upgraded["parameter_set"] == upgraded["parameters"]["parameter_set"] == "distilled"
    old_keys = {"features", "practice", "teacher", "teacher_features", "several_types", "trunk", "penalty", "moved"}
    assert not old_keys & {*upgraded, *upgraded["counts"], *upgraded["head"]}
    assert upgrade_report(upgraded) == upgraded and json.dumps(OLD_REPORT) == before


def test_a_run_of_version_0_1_is_compared_with_a_new_one(tmp_path):
    old = read_run(write_run(tmp_path / "old", OLD_REPORT, OLD_OVERRIDES))
    assert old.parameter_set == "distilled"
    assert old.variant == (
        "data.multilabel_weight=0.5",
        "data.synthetic_recordings=800",
        "model.l2=1",
        "model.pretrained=synthetic",
    )
    new = upgrade_report(OLD_REPORT) | {"parameter_set": "frozen"}
    write_run(tmp_path / "new", new, ["species=merel", "trainer=frozen", *old.variant, "evaluation.plots=false"])
    (section,) = compare_runs(find_runs([tmp_path]), baseline="frozen").sections
    assert section.names == ("frozen", "distilled")
    assert section.sets[0].species[0].differences["balanced_accuracy"].value == 0.0


def test_the_model_that_selected_a_parameter_set_in_version_0_1_is_no_variant(tmp_path, make_finished_run):
    folder = make_finished_run(tmp_path / "a", overrides=["model=birdnet", "model.penalty=1"])
    report = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(report | {"parameter_set": "birdnet"}))
    assert read_run(folder).variant == ("model.l2=1",)


def test_a_pool_has_its_own_name(tmp_path, make_finished_run):
    run = read_run(make_finished_run(tmp_path / "a", pool=["koolmees", "merel"]))
    assert (run.subject, run.dutch, run.pool) == ("pool-koolmees-merel", "2 soorten", ("koolmees", "merel"))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"species": 1, "results": {"recording": {}}}'])
def test_a_broken_report_is_listed_beside_the_other_runs(tmp_path, make_finished_run, content):
    make_finished_run(tmp_path / "good")
    broken = make_finished_run(tmp_path / "bad")
    (broken / "metrics.json").write_text(content)
    found = find_runs([tmp_path])
    assert [run.folder.name for run in found.runs] == ["good"]
    ((folder, reason),) = found.broken
    assert folder == broken and "is not the report of a run" in reason


def test_a_run_with_an_undefined_metric_is_read(tmp_path, make_finished_run):
    folder = make_finished_run(tmp_path / "a")
    report = json.loads((folder / "metrics.json").read_text())
    report["results"]["recording"]["auroc"] = None
    report["seconds"] = {}
    (folder / "metrics.json").write_text(json.dumps(report))
    assert read_run(folder).scores["auroc"] is None


def test_a_missing_folder_raises(tmp_path):
    with pytest.raises(DataError, match="nowhere is not a folder; give one with runs, such as logs"):
        find_runs([tmp_path / "nowhere"])
