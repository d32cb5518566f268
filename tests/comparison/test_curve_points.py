"""Learning curves of finished runs: joined by size, stored and read again, drawn, and the latest one found."""

import csv
import json
import os

import numpy as np
import pytest

from birdnet_nl.comparison.curve_files import COLUMNS, latest_curves, read_curves, summary, write_curves
from birdnet_nl.comparison.curve_plot import draw_curve
from birdnet_nl.comparison.curve_points import learning_curves
from birdnet_nl.comparison.finished_runs import find_runs
from birdnet_nl.comparison.learning_curve import Outcome
from birdnet_nl.evaluation.recording_plots import to_svg
from birdnet_nl.util.errors import DataError

SHARES = (0.1, 0.2, 0.4, 0.7, 1)
FOLDS = 2


@pytest.fixture
def make_sweep(make_finished_run):
    """Make runs whose accuracy rises with the share; `skip` leaves out (share, fold) pairs."""

    def make(folder, slug="koolmees", accuracies=(0.4, 0.5, 0.6, 0.66, 0.7), shares=SHARES, skip=(), fold_of_ids=None):
        rng = np.random.default_rng(0)
        difficulty = [rng.permutation(120) / 120 for _ in range(FOLDS)]
        for share, accuracy in zip(shares, accuracies, strict=True):
            for fold in range(FOLDS):
                if (share, fold) in skip:
                    continue
                run = make_finished_run(
                    folder / f"fast/{slug}/{share}-{fold}", slug=slug, fold=fold, folds=FOLDS, per_type=40,
                    right=difficulty[fold] < accuracy, overrides=(f"data.training_share={share}", f"data.fold={fold}"),
                    first_id=1 if fold_of_ids is None else fold_of_ids[share],
                )  # fmt: skip
                metrics = json.loads((run / "metrics.json").read_text())
                counts = metrics["counts"]["recordings"]
                counts["train"] = {name: round(100 * share) for name in metrics["types"]}
                (run / "metrics.json").write_text(json.dumps(metrics))
        return find_runs([folder]).runs

    return make


def test_folds_are_joined_by_size(tmp_path, make_sweep):
    (curve,) = learning_curves(make_sweep(tmp_path), draws=40)
    assert [point.recordings for point in curve.points] == [30, 60, 120, 210, 300]
    assert [point.runs for point in curve.points] == [FOLDS] * 5
    values = [point.values["balanced_accuracy"] for point in curve.points]
    assert values == pytest.approx([0.4, 0.5, 0.6, 0.66, 0.7], abs=0.02)
    for point in curve.points:
        for name, (low, high) in point.intervals.items():
            assert 0 <= low < point.values[name] < high <= 1
    assert curve.total == {"song": 152, "call": 152, "alarm": 152}  # 100 + 12 + 40
    assert curve.total_per_training == pytest.approx(456 / 300)
    assert curve.decisive.outcome in (Outcome.ESTIMATED, Outcome.BEYOND, Outcome.LEVELS_OFF)
    assert curve.estimates["auroc"].outcome == Outcome.FITTED and curve.estimates["auroc"].target is None
    assert not curve.left_out


def test_a_curve_is_stored_read_again_and_drawn(tmp_path, make_sweep):
    curves = learning_curves(make_sweep(tmp_path), draws=40)
    write_curves(tmp_path, curves)
    assert read_curves(tmp_path / "curve.json") == curves
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS and [row["share"] for row in rows] == ["0.1", "0.2", "0.4", "0.7", "1"]
    assert float(rows[0]["balanced_accuracy_low"]) < float(rows[0]["balanced_accuracy"])
    svg = to_svg(draw_curve(curves[0]))
    assert svg.startswith("<svg") and "training recordings" in svg


def test_a_curve_of_three_sizes_is_stored_and_drawn_too(tmp_path, make_sweep):
    curves = learning_curves(make_sweep(tmp_path, accuracies=(0.4, 0.5, 0.6), shares=SHARES[:3]), draws=40)
    write_curves(tmp_path, curves)
    assert read_curves(tmp_path / "curve.json") == curves
    assert curves[0].decisive.outcome == Outcome.TOO_FEW_SIZES
    assert curves[0].training_recordings == pytest.approx(300)  # at share 1, which was not measured
    assert to_svg(draw_curve(curves[0])).startswith("<svg")


def test_a_fold_that_is_missing_at_one_size_is_left_out_at_all_and_reported(tmp_path, make_sweep):
    (curve,) = learning_curves(make_sweep(tmp_path, skip=((0.4, 1),)), draws=40)
    assert {point.runs for point in curve.points} == {1}
    assert curve.left_out == tuple(f"share {share:g}, fold 1, seed 1" for share in (0.1, 0.2, 0.7, 1))
    runs = [run for run in find_runs([tmp_path]).runs if run.folder.name in ("0.1-0", "1-1")]
    with pytest.raises(DataError, match="no fold and seed is finished with each of the shares"):
        learning_curves(runs, draws=40)


def test_runs_on_other_test_recordings_are_no_curve(tmp_path, make_sweep):
    ids = {share: 1 if share < 1 else 5 for share in SHARES}
    with pytest.raises(DataError, match="different test recordings"):
        learning_curves(make_sweep(tmp_path, fold_of_ids=ids), draws=40)


def test_usual_runs_are_no_points_of_a_curve(tmp_path, make_finished_run):
    make_finished_run(tmp_path / "a")
    make_finished_run(tmp_path / "b", overrides=("data.training_share=null",))
    with pytest.raises(DataError, match=r"no finished run with data\.training_share"):
        learning_curves(find_runs([tmp_path]).runs)


def test_the_latest_curve_of_a_species_is_found(tmp_path, make_sweep):
    for number, name in enumerate(("sweep-old", "sweep-new", "sweep-damaged")):
        curves = learning_curves(make_sweep(tmp_path / name), target=(0.3, 0.75, 0.75)[number], draws=40)
        write_curves(tmp_path / name, curves)
        os.utime(tmp_path / name / "curve.json", (number, number))
    (tmp_path / "sweep-damaged" / "curve.json").write_text('{"curves": [{}]}')
    curve, folder = latest_curves(tmp_path)["koolmees"]
    assert folder.name == "sweep-new" and "usable" not in summary(curve)
    assert latest_curves(tmp_path / "sweep-old")["koolmees"][1].name == "sweep-old"
    assert set(latest_curves(tmp_path)) == {"koolmees"} and not latest_curves(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is not a learning curve"):
        read_curves(tmp_path / "sweep-damaged" / "curve.json")
