"""Each benchmark at a size that takes seconds: the composition of its metrics is tested, not their values."""

import io
import json
import platform
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn.metrics import balanced_accuracy_score, f1_score

from benchmarks import (
    __main__,
    comparison_coverage,
    growth,
    interval_coverage,
    prediction,
    processes,
    reference_loop,
    roofline,
    segments,
    speed,
    sweep_faults,
    time_to_accuracy,
    timed_run,
)
from birdnet_nl.comparison.predictions import balanced_accuracy, confusion
from birdnet_nl.models.emsn_cnn import EmsnCnn
from birdnet_nl.species.selection import prepare_arguments

TINY = [
    "mel.n_mels=32",
    "mel.hop_samples=2048",
    "model.channels=[4,8,8,16]",
    "model.hidden=16",
    "data.num_workers=0",
    "data.batch_size=8",
]
STARTED_BY_PARTS = {
    "external",
    "__init__",
    "prepare_recordings",
    "processes",
    "reference_loop",
    "roofline",
    "segments",
    "timed_run",
}
BENCHMARKS = {path.stem for path in Path(processes.__file__).parent.glob("*.py")} - STARTED_BY_PARTS


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Overrides of tiny runs on 48 segments of noise."""
    overrides = ["trainer=fast", *TINY]
    folder = tmp_path_factory.mktemp("noise")
    return [*overrides, *segments.write_noise(str(folder), 48, overrides)]


def two_types(count: int = 24, seed: int = 0) -> reference_loop.Split:
    """Segments whose upper or lower half is brighter, by type: separated within an epoch."""
    generator = torch.Generator().manual_seed(seed)
    types = torch.arange(count) % 2
    mels = torch.rand(count, 1, 16, 16, generator=generator)
    mels[types == 0, :, :8] += 1
    mels[types == 1, :, 8:] += 1
    return mels / 2, types


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_every_benchmark_starts_and_has_a_help(monkeypatch, capsys, name):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    module = import_module(f"benchmarks.{name}")
    with pytest.raises(SystemExit) as stopped:
        module.main() if hasattr(module, "main") else processes.run_part(name)
    assert stopped.value.code == 0
    assert "usage: python -m benchmarks" in capsys.readouterr().out


@pytest.mark.parametrize("training", [False, True])
def test_the_plain_network_is_the_network_of_the_original(training):
    ours = EmsnCnn(3, channels=[32, 64, 128, 256], hidden=128, channel_dropout=0.0, hidden_dropout=0.0)
    plain = reference_loop.PlainNetwork(3)
    assert (plain.channel_dropout.p, plain.dropout.p) == (0.25, 0.5)
    plain.channel_dropout.p = plain.dropout.p = 0.0
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    plain.load_state_dict(dict(zip(plain.state_dict(), ours.state_dict().values(), strict=True)))
    mels = torch.rand(4, 1, 32, 40)
    torch.testing.assert_close(plain.train(training)(mels), ours.train(training)(mels))


def test_the_reference_predicts_with_the_weights_of_its_best_epoch():
    train, val, test = two_types(), two_types(seed=1), two_types(seed=2)
    done = reference_loop.train_reference(
        train, val, test, types=2, threads=1, batch_size=8, max_epochs=4, patience=2, predict_each_epoch=True
    )
    assert 1 <= done["epochs"] <= 4 and len(done["seconds_of_epochs"]) == len(done["val_macro_f1"]) == done["epochs"]
    assert done["seconds"] == pytest.approx(sum(done["seconds_of_epochs"]))
    assert done["best_epoch"] == int(np.argmax(done["val_macro_f1"]))
    of_epochs = done["test_probabilities_of_epochs"]
    torch.testing.assert_close(done["test_probabilities"], of_epochs[done["best_epoch"]])
    assert not torch.allclose(of_epochs[0], of_epochs[-1])
    assert done["test_probabilities"].shape == (24, 2)


def test_the_reference_stops_when_validation_does_not_improve(monkeypatch):
    scores = iter([0.5, 0.7, 0.6, 0.7, 0.1, 0.9])
    monkeypatch.setattr(reference_loop, "macro_f1", lambda *_: next(scores))
    split = two_types(8)
    done = reference_loop.train_reference(split, split, split, types=2, threads=1, max_epochs=6, patience=3)
    assert (done["epochs"], done["best_epoch"]) == (5, 1)


def test_macro_f1_and_balanced_accuracy_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    true_types, predicted = rng.integers(3, size=50), rng.integers(3, size=50)
    macro_f1 = reference_loop.macro_f1(torch.from_numpy(predicted), torch.from_numpy(true_types), 3)
    assert macro_f1 == pytest.approx(f1_score(true_types, predicted, average="macro"))
    accuracy = time_to_accuracy.balanced_accuracy(predicted.tolist(), true_types.tolist())
    assert accuracy == pytest.approx(balanced_accuracy_score(true_types, predicted))


def test_warm_up_and_the_first_batch_of_an_epoch_do_not_count():
    batches = [(0, 4, 10.0), (0, 4, 11.0), (0, 4, 13.0), (0, 2, 14.0), (1, 4, 99.0), (1, 4, 103.0)]
    assert speed.seconds_per_segment(batches, warm_up=8) == pytest.approx((2 + 1 + 4) / (4 + 2 + 4))
    assert speed.seconds_per_segment(batches, warm_up=0) == pytest.approx((1 + 2 + 1 + 4) / 14)
    with pytest.raises(ValueError, match="3 batches leave none to time after a warm-up of 12 segments; time more"):
        speed.seconds_per_segment(batches[:3], warm_up=12)


def test_a_straight_line_is_fitted():
    fit = growth.linear_fit([1, 2, 4], [5, 7, 11])
    assert fit == pytest.approx({"intercept_s": 3, "slope_s": 2, "r_squared": 1})


def test_training_flops_agree_with_a_count_by_hand():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Conv2d(4, 2, 3, padding=1))
    first, second = 2 * 9 * 1 * 4 * 80, 2 * 9 * 4 * 2 * 80  # an input of 8 × 10
    # forward and the gradient of the weights for both; the gradient of the input for the second only
    assert roofline.training_flops(network, (8, 10)) == 2 * first + 3 * second


def test_the_peak_is_measured_in_both_precisions():
    roofs = roofline.peak_gflops(threads=1, size=64, repeats=2)
    assert set(roofs) == {"fp32", "bf16"} and min(roofs.values()) > 0


def test_a_function_runs_in_its_own_process():
    fit = processes.in_own_process("benchmarks.growth:linear_fit", counts=[1, 2, 3], seconds=[1, 2, 3])
    assert fit["slope_s"] == pytest.approx(1)
    with pytest.raises(RuntimeError, match=r"linear_fit failed with(.|\n)*TypeError"):
        processes.in_own_process("benchmarks.growth:linear_fit", counts=[1])
    assert processes.peak_memory_mb() > 50


def test_both_sides_get_the_same_segments_of_noise(in_this_process, noise, tmp_path):
    saved = segments.save_arrays(str(tmp_path), noise)
    assert saved["types"] == ["song", "call", "alarm"]
    assert saved["segments"] == {"train": 48, "val": 6, "test": 6}
    mels, types = reference_loop.load_split(tmp_path, "train")
    assert mels.shape == (48, 1, 32, 71) and mels.dtype == torch.float32
    assert types.bincount().tolist() == [16, 16, 16]
    torch.testing.assert_close(mels.amin((1, 2, 3)), torch.zeros(48))
    torch.testing.assert_close(mels.amax((1, 2, 3)), torch.ones(48))
    assert np.bincount(np.load(tmp_path / "train_recordings.npy")).tolist() == [2] * 24


def test_speed_compares_the_sides_until_enough_segments_are_timed(in_this_process, monkeypatch, print_table):
    runs, time_run = [], timed_run.time_run
    monkeypatch.setattr(timed_run, "time_run", lambda **arguments: runs.append(time_run(**arguments)) or runs[-1])
    overrides = ("trainer=fast", "data.batch_size=8")
    plain = speed.Side((*overrides, "engine=plain"))
    sides = {speed.REFERENCE: speed.Side(overrides, reference_batch_size=8), "ours": plain}
    monkeypatch.setattr(speed, "all_sides", lambda: sides)
    monkeypatch.setattr(roofline, "peak_gflops", lambda threads: {"fp32": 100.0, "bf16": 200.0})
    result = speed.measure(segments=48, repeats=1, warm_up=8, timed=24, overrides=TINY)
    result = json.loads(json.dumps(result))
    reference, ours = result["sides"][speed.REFERENCE], result["sides"]["ours"]
    assert result["segments"]["train"] == 48 and result["segments_are"] == "noise"
    assert reference["times_as_fast"] == 1 and ours["precision"] == "fp32"
    assert ours["times_as_fast"] == pytest.approx(reference["seconds_per_segment"] / ours["seconds_per_segment"])
    assert ours["seconds_per_epoch"] == pytest.approx(48 * ours["seconds_per_segment"])
    assert ours["gflops"] == pytest.approx(ours["mflops_per_segment"] / 1000 / ours["seconds_per_segment"])
    assert ours["share_of_roof"] == pytest.approx(ours["gflops"] / result["roof_gflops"]["fp32"])
    assert "× ref." in print_table(speed.table(result))
    assert [(epoch, size) for epoch, size, _ in runs[0]["batches"]] == [(0, 8)] * 4  # of 6
    assert runs[0]["epochs"] == [] and runs[0]["peak_memory_mb"] > 100


def test_every_side_composes(in_this_process):
    sides = speed.all_sides()
    assert {"reference, 128", "fast auto, 128", "turbo, 48"} <= set(sides)
    for overrides in {side.overrides for side in sides.values()}:
        work = roofline.training_flops_of(["species=koolmees", *overrides])
        assert "trainer=turbo" in overrides or work["weights"] == 422_083, overrides


def test_prediction_is_timed_with_a_checkpoint(in_this_process, monkeypatch, print_table):
    assert all(timed_run.compose_run(["species=koolmees", *overrides]) for overrides in prediction.NETWORKS.values())
    monkeypatch.setattr(prediction, "NETWORKS", {"emsn_cnn": ["trainer=fast", "evaluation.plots=false"]})
    monkeypatch.setattr(prediction, "RECORDING_S", 6.0)
    result = prediction.measure(quick=True, overrides=TINY)
    values = result["emsn_cnn"]
    assert 0 < values["mel_s"] < values["clip_s"]
    assert values["segments_of_recording"] == 3 and values["segment_of_recording_s"] > 0
    assert "emsn_cnn" in print_table(prediction.table(result))


def test_growth_over_segments_times_an_epoch_for_each_number(in_this_process, tmp_path, print_table):
    result = growth.time_epochs(str(tmp_path), [24, 48], repeats=1, overrides=TINY)
    assert result["counts"] == [24, 48]
    assert len(result["seconds"]) == 2 and min(result["seconds"]) > 0
    both = {"segments": result, "species": result}
    growth.draw(both, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000
    assert "48" in print_table(growth.table(both))


def test_growth_over_species_times_a_sweep_for_each_number(compose_config, monkeypatch, tmp_path):
    def sweep(command, **_):
        arguments = prepare_arguments(command[2:])  # after Python and train.py
        species = next(argument for argument in arguments if argument.startswith("species="))
        others = [argument for argument in arguments if argument not in ("-m", species)]
        for slug in species.partition("=")[2].split(","):
            cfg = compose_config(f"species={slug}", *others)
            run_dir = Path(cfg.paths.logs) / "sweep" / slug
            run_dir.mkdir(parents=True)
            (run_dir / "metrics.json").write_text('{"seconds": {"total": 0.5}, "peak_memory_mb": 100}')
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(growth.subprocess, "run", sweep)
    result = growth.time_sweeps(tmp_path, [1, 2], ["trainer.max_epochs=1"])
    assert (result["counts"], result["runs_s"]) == ([1, 2], [0.5, 1.0])
    assert all(seconds > 0 for seconds in result["seconds"]) and result["peak_memory_mb"] == [100, 100]


def test_the_smallest_budget_that_is_as_accurate_is_reported(print_table):
    def side(seconds: float, accuracy: float) -> dict[str, float]:
        return {"train_s": seconds, "balanced_accuracy": accuracy}

    rows = [
        {"reference": side(100, 0.6), "ours": {"2": side(5, 0.7), "4": side(10, 0.7), "12": side(30, 0.9)}},
        {"reference": side(140, 0.7), "ours": {"2": side(7, 0.5), "4": side(14, 0.6), "12": side(34, 0.7)}},
    ]
    summary = time_to_accuracy.summarise(rows)
    assert list(summary["budgets"]) == ["2", "4", "12"]
    assert summary["reached"] == "4"
    assert summary["times_as_fast"] == pytest.approx(120 / 12)
    assert summary["budgets"]["2"]["gain"] == pytest.approx(-0.05)
    assert summary["budgets"]["2"]["gain_standard_error"] == pytest.approx(0.15)
    result = {"runs": rows, "parameter_set": "turbo", "difficulty": "hard", **summary}
    assert "after 4 epochs, 10.0 times as fast" in print_table(time_to_accuracy.table(result))
    too_short = time_to_accuracy.summarise([{"reference": side(9, 0.9), "ours": {"1": side(1, 0.0)}}])
    assert too_short["reached"] is None and too_short["times_as_fast"] is None


def test_time_to_accuracy_trains_both_sides(in_this_process, monkeypatch, noise, tmp_path, print_table):
    monkeypatch.setattr(time_to_accuracy, "demo_overrides", lambda *_: noise[1:])
    result = time_to_accuracy.measure(
        species=["koolmees"],
        seeds=[1],
        budgets=[1],
        parameter_set="fast",
        reference_epochs=1,
        overrides=["evaluation.plots=false"],
    )
    row = result["runs"][0]
    assert row["reference"]["train_s"] > 0 and 0 <= row["reference"]["balanced_accuracy"] <= 1
    assert row["ours"]["1"]["epochs"] == 1 and row["ours"]["1"]["train_s"] > 0
    assert "fast, 1 epochs" in print_table(time_to_accuracy.table(result))


def test_the_demo_of_time_to_accuracy_composes():
    cfg = timed_run.compose_run(["trainer=turbo", "trainer.max_epochs=1", *segments.demo_overrides("vink", "hard")])
    assert (cfg.species.slug, cfg.data.source, cfg.data.demo.difficulty) == ("vink", "demo", "hard")


def test_the_sweep_with_faults_composes(compose_config, tmp_path):
    arguments = sweep_faults.sweep_arguments(tmp_path, tmp_path / "recordings", ["koolmees"], workers=2)
    cfg = compose_config(*prepare_arguments(arguments)[1:])
    assert (cfg.data.source, cfg.data.root) == ("xeno_canto", str(tmp_path / "recordings"))
    assert cfg.data.demo.recordings_per_type == 12


def test_the_coverage_of_intervals_is_printed(capsys):
    interval_coverage.measure_case(20, 1.5, 0.7, splits=2, population=2000)
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(interval_coverage.METRICS)
    assert all("ours" in line and "BCa" in line for line in lines[1:])


def test_simulated_predictions_have_the_true_accuracy(capsys):
    both = comparison_coverage.simulate_predictions(np.random.default_rng(0), recordists=3000)
    accuracies = [float(balanced_accuracy(confusion(predictions))) for predictions in both]
    assert accuracies == pytest.approx(comparison_coverage.TRUE, abs=0.03)
    comparison_coverage.within_species(np.random.default_rng(0), splits=1)
    assert len(capsys.readouterr().out.strip().splitlines()) == 5


def test_parts_run_one_after_the_other_and_busy_cores_are_warned_about(monkeypatch, tmp_path):
    part = SimpleNamespace(measure=lambda quick: {"quick": quick}, table=lambda result: f"table of {result}")
    monkeypatch.setattr(__main__, "import_module", lambda _: part)
    monkeypatch.setattr(__main__, "busy_share", lambda: 0.5)
    console = Console(file=io.StringIO(), width=200)
    results = __main__.measure_all(["speed"], True, tmp_path / "plot.png", console)
    assert results == {"parts": {"speed": {"quick": True}}, "busy_before": {"speed": 0.5}}
    assert "other work takes 50% of the cores" in console.file.getvalue()


def test_the_share_of_busy_cores_is_measured():
    assert 0 <= __main__.busy_share(0.05) <= 1


def test_the_machine_is_described_without_its_name():
    described = json.dumps(__main__.describe_machine())
    assert platform.python_version() in described
    assert not platform.node() or f'"{platform.node()}"' not in described
