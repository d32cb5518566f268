"""Runs by source and with extra recordings, from folders to `metrics.json`."""

import csv
import shutil

import pytest

from birdnet_nl.evaluation.predictions_file import read_predictions
from tests.runs.conftest import EMBEDDINGS, read_metrics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own(embeddings_run, cache, tmp_path_factory):
    """Recordings of two demo species, with sources by species, and a copy of one of them as a species outside."""
    root = tmp_path_factory.mktemp("own")
    for slug in ("koolmees", "merel"):
        shutil.copytree(cache / "demo" / f"xeno-canto-{slug}", root / f"xeno-canto-{slug}")
        path = root / f"xeno-canto-{slug}" / "recordings.csv"
        rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0], "source"])
            writer.writeheader()
            writer.writerows(
                row | {"source": "AB"[slug == "merel"], "recordist": f"{row['recordist']} {slug}"} for row in rows
            )
    shutil.copytree(cache / "demo" / "xeno-canto-merel", root.parent / "extra" / "xeno-canto-zonotrichia_leucophrys")
    return root


@pytest.fixture(scope="module")
def source_run(train, extension, own, cache, tmp_path_factory):
    settings = [*EMBEDDINGS, "species=pool", "data.pool=[koolmees,merel]", "data=xeno_canto", f"data.root={own}"]
    return train(tmp_path_factory.mktemp("runs") / "source", settings, "data.test_source=B")


def test_a_run_that_leaves_one_source_out_is_tested_on_it(source_run):
    rows = read_predictions(source_run / "predictions.csv")
    assert {row.species for row in rows} == {"merel"}
    with (source_run / "splits.csv").open(encoding="utf-8", newline="") as file:
        splits = {(row["split"], "koolmees" in row["file"]) for row in csv.DictReader(file)}
    assert splits == {("train", True), ("val", True), ("test", False)}
    pair = read_metrics(source_run)["song_against_call"]
    assert 0 <= pair["balanced_accuracy"] <= 1 and pair["auroc"] > 0.4


def test_a_probe_trains_on_extra_recordings_of_a_species_outside_the_table(train, extension, own, cache, tmp_path):
    settings = [*EMBEDDINGS, "species=koolmees", "data=xeno_canto", f"data.root={own}", "evaluation.plots=false"]
    run_dir = train(tmp_path / "run", settings, f"data.extra_roots=[{own.parent / 'extra'}]")
    report = read_metrics(run_dir)
    extra = report["counts"]["extra"]
    assert extra["species"] == 1 and sum(extra["recordings"].values()) >= 20
    with (run_dir / "splits.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["split"] for row in rows if row["extra"] == "yes"} == {"train"}
    assert all("koolmees" in row["file"] for row in rows if row["extra"] == "no")
    assert {row.species for row in read_predictions(run_dir / "predictions.csv")} == {"koolmees"}
    fitted = sum(row["split"] != "test" and row["extra"] == "no" and bool(row["type"]) for row in rows)
    assert report["threshold_choice"]["recordings"] == fitted
