"""Each part of the benchmarks at a size that takes seconds; no figure is tested, only what it is made of."""

import io
import json
import platform
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn.metrics import balanced_accuracy_score, f1_score

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks import (
    __main__,
    growth,
    prediction,
    processes,
    reference_loop,
    roofline,
    segments,
    speed,
    time_to_accuracy,
    timings,
)
from benchmarks.plain_network import PlainNetwork
from birdnet_nl.models.emsn_cnn import EmsnCnn

TINY = [
    "mel.n_mels=32",
    "mel.hop_samples=2048",
    "model.channels=[4,8,8,16]",
    "model.hidden=16",
    "data.num_workers=0",
    "data.batch_size=8",
]


@pytest.fixture
def in_this_process(monkeypatch, one_thread):
    """Spares the start of a process, seconds for each; plain values still go through JSON."""

    def answer(function: str, **arguments):
        return json.loads(json.dumps(processes.call(function, json.loads(json.dumps(arguments)))))

    monkeypatch.setattr(processes, "in_own_process", answer)
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)


def printed(table) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return console.file.getvalue()


def noise_split(count: int = 24, seed: int = 0) -> reference_loop.Split:
    """Segments whose upper or lower half is brighter, by type: learned at once."""
    generator = torch.Generator().manual_seed(seed)
    types = torch.arange(count) % 2
    mels = torch.rand(count, 1, 16, 16, generator=generator)
    mels[types == 0, :, :8] += 1
    mels[types == 1, :, 8:] += 1
    return mels / 2, types


@pytest.mark.parametrize("training", [False, True])
def test_the_plain_network_is_the_originals(training):
    ours = EmsnCnn(3, channels=[32, 64, 128, 256], hidden=128, channel_dropout=0.0, hidden_dropout=0.0)
    plain = PlainNetwork(3)
    plain.drop_channels.p = plain.drop.p = 0.0
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    plain.load_state_dict(dict(zip(plain.state_dict(), ours.state_dict().values(), strict=True)))
    mels = torch.rand(4, 1, 32, 40)
    torch.testing.assert_close(plain.train(training)(mels), ours.train(training)(mels))
    defaults = PlainNetwork(3)
    assert (defaults.drop_channels.p, defaults.drop.p) == (0.25, 0.5)


def test_the_reference_answers_with_the_weights_of_its_best_epoch(one_thread):
    train, val, test = noise_split(), noise_split(seed=1), noise_split(seed=2)
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


def test_the_reference_stops_when_validation_gets_no_better(one_thread, monkeypatch):
    scores = iter([0.5, 0.7, 0.6, 0.7, 0.1, 0.9])
    monkeypatch.setattr(reference_loop, "macro_f1", lambda *_: next(scores))
    split = noise_split(8)
    done = reference_loop.train_reference(split, split, split, types=2, threads=1, max_epochs=6, patience=3)
    assert (done["epochs"], done["best_epoch"]) == (5, 1)


def test_macro_f1_and_balanced_accuracy_are_sklearns():
    rng = np.random.default_rng(0)
    true_types, answers = rng.integers(3, size=50), rng.integers(3, size=50)
    found = reference_loop.macro_f1(torch.from_numpy(answers), torch.from_numpy(true_types), 3)
    assert found == pytest.approx(f1_score(true_types, answers, average="macro"))
    found = time_to_accuracy.balanced_accuracy(answers.tolist(), true_types.tolist())
    assert found == pytest.approx(balanced_accuracy_score(true_types, answers))


def test_warm_up_and_the_first_batch_of_an_epoch_do_not_count():
    batches = [(0, 4, 10.0), (0, 4, 11.0), (0, 4, 13.0), (0, 2, 14.0), (1, 4, 99.0), (1, 4, 103.0)]
    assert timings.seconds_per_segment(batches, warm_up=8) == pytest.approx((2 + 1 + 4) / (4 + 2 + 4))
    assert timings.seconds_per_segment(batches, warm_up=0) == pytest.approx((1 + 2 + 1 + 4) / 14)
    with pytest.raises(ValueError, match="3 batches leave none to time after a warm-up of 12 segments; time more"):
        timings.seconds_per_segment(batches[:3], warm_up=12)


def test_a_straight_line_is_found():
    fit = timings.linear_fit([1, 2, 4], [5, 7, 11])
    assert fit == pytest.approx({"start_s": 3, "each_s": 2, "r_squared": 1})


def test_training_flops_are_those_counted_by_hand():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Conv2d(4, 2, 3, padding=1))
    first, second = 2 * 9 * 1 * 4 * 80, 2 * 9 * 4 * 2 * 80  # an input of 8 × 10
    # forward and the gradient of the weights for both; the gradient of the input for the second only
    assert roofline.training_flops(network, (8, 10)) == 2 * first + 3 * second


def test_the_roof_is_measured_in_both_precisions(one_thread):
    roofs = roofline.peak_gflops(threads=1, size=64, repeats=2)
    assert set(roofs) == {"fp32", "bf16"} and min(roofs.values()) > 0


def test_a_function_answers_from_its_own_process():
    fit = processes.in_own_process("benchmarks.timings:linear_fit", counts=[1, 2, 3], seconds=[1, 2, 3])
    assert fit["each_s"] == pytest.approx(1)
    with pytest.raises(RuntimeError, match=r"linear_fit failed with(.|\n)*TypeError"):
        processes.in_own_process("benchmarks.timings:linear_fit", counts=[1])
    assert processes.peak_memory_mb() > 50


def test_both_sides_get_the_same_segments_of_noise(in_this_process, tmp_path):
    overrides = ["trainer=fast", *TINY]
    overrides += segments.write_noise(str(tmp_path), 48, overrides)
    saved = segments.save_arrays(str(tmp_path / "arrays"), overrides)
    assert saved["types"] == ["song", "call", "alarm"]
    assert saved["segments"] == {"train": 48, "val": 6, "test": 6}
    mels, types = reference_loop.load_split(tmp_path / "arrays", "train")
    assert mels.shape == (48, 1, 32, 71) and mels.dtype == torch.float32
    assert types.bincount().tolist() == [16, 16, 16]
    torch.testing.assert_close(mels.amin((1, 2, 3)), torch.zeros(48))
    torch.testing.assert_close(mels.amax((1, 2, 3)), torch.ones(48))
    recordings = np.load(tmp_path / "arrays" / "train_recordings.npy")
    assert np.bincount(recordings).tolist() == [2] * 24
    file = next((tmp_path / "noise_48_32x71").glob("spectrograms-koolmees/song/*_seg000.npy"))
    assert np.load(file).shape == (32, 71)


def test_speed_compares_the_sides(in_this_process, monkeypatch):
    overrides = ("trainer=fast", "data.batch_size=8")
    plain = speed.Side((*overrides, "engine=plain"))
    sides = {speed.REFERENCE: speed.Side(overrides, reference_batch_size=8), "ours": plain}
    monkeypatch.setattr(speed, "all_sides", lambda: sides)
    result = speed.measure(segments=48, repeats=1, warm_up=8, timed=24, overrides=TINY)
    result = json.loads(json.dumps(result))
    reference, ours = result["sides"][speed.REFERENCE], result["sides"]["ours"]
    assert result["segments"]["train"] == 48 and result["segments_are"] == "noise"
    assert reference["times_as_fast"] == 1 and ours["precision"] == "fp32"
    assert ours["times_as_fast"] == pytest.approx(reference["seconds_per_segment"] / ours["seconds_per_segment"])
    assert ours["seconds_per_epoch"] == pytest.approx(48 * ours["seconds_per_segment"])
    assert ours["gflops"] == pytest.approx(ours["mflops_per_segment"] / 1000 / ours["seconds_per_segment"])
    assert ours["share_of_roof"] == pytest.approx(ours["gflops"] / result["roof_gflops"]["fp32"])
    assert "× ref." in printed(speed.table(result))


def test_every_side_composes(in_this_process):
    sides = speed.all_sides()
    assert {"reference, 128", "fast auto, 128", "turbo, 48"} <= set(sides)
    for name, side in sides.items():
        work = roofline.training_flops_of(["species=koolmees", *side.overrides])
        if "turbo" not in name:
            assert work["weights"] == 422_083, name


def test_prediction_is_timed_with_a_checkpoint(in_this_process, monkeypatch):
    monkeypatch.setattr(prediction, "networks", lambda: {"emsn_cnn": ["trainer=fast"]})
    monkeypatch.setattr(prediction, "RECORDING_S", 6.0)
    result = prediction.measure(quick=True, overrides=TINY)
    values = result["emsn_cnn"]
    assert 0 < values["mel_s"] < values["clip_s"]
    assert values["segments_of_recording"] == 3 and values["segment_of_recording_s"] > 0
    assert "emsn_cnn" in printed(prediction.table(result))


def test_growth_over_segments_is_an_epoch_each(in_this_process, tmp_path):
    result = growth.time_epochs(str(tmp_path), [24, 48], repeats=1, overrides=TINY)
    assert result["counts"] == [24, 48]
    assert len(result["seconds"]) == 2 and min(result["seconds"]) > 0
    both = {"segments": result, "species": result}
    growth.draw(both, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000
    assert "48" in printed(growth.table(both))


def test_the_smallest_budget_that_is_as_good_is_reported():
    def ours(seconds: float, score: float) -> dict[str, float]:
        return {"train_s": seconds, "balanced_accuracy": score}

    rows = [
        {"reference": ours(100, 0.6), "ours": {"2": ours(5, 0.7), "4": ours(10, 0.7), "12": ours(30, 0.9)}},
        {"reference": ours(140, 0.7), "ours": {"2": ours(7, 0.5), "4": ours(14, 0.6), "12": ours(34, 0.7)}},
    ]
    summary = time_to_accuracy.summarise(rows)
    assert list(summary["budgets"]) == ["2", "4", "12"]
    assert summary["reached"] == "4"
    assert summary["times_as_fast"] == pytest.approx(120 / 12)
    assert summary["budgets"]["2"]["gain"] == pytest.approx(-0.05)
    assert summary["budgets"]["2"]["gain_standard_error"] == pytest.approx(0.15)
    result = {"runs": rows, "parameter_set": "turbo", "difficulty": "hard", **summary}
    assert "after 4 epochs, 10.0 times as fast" in printed(time_to_accuracy.table(result))


def test_no_budget_may_be_as_good():
    rows = [
        {"reference": {"train_s": 9, "balanced_accuracy": 0.9}, "ours": {"1": {"train_s": 1, "balanced_accuracy": 0}}}
    ]
    summary = time_to_accuracy.summarise(rows)
    assert summary["reached"] is None and summary["times_as_fast"] is None


@pytest.mark.slow
def test_time_to_accuracy_trains_both_sides(in_this_process, tmp_path):
    result = time_to_accuracy.measure(
        species=["koolmees"],
        seeds=[1],
        budgets=[1],
        parameter_set="fast",
        difficulty="easy",
        reference_epochs=1,
        overrides=[*TINY, "data.demo.recordings_per_type=10", f"paths.cache={tmp_path}"],
    )
    row = result["runs"][0]
    assert row["reference"]["train_s"] > 0 and 0 <= row["reference"]["balanced_accuracy"] <= 1
    assert row["ours"]["1"]["epochs"] == 1 and row["ours"]["1"]["train_s"] > 0
    printed(time_to_accuracy.table(result))


@pytest.mark.slow
def test_growth_over_species_is_a_sweep_each(tmp_path):
    result = growth.time_sweeps(tmp_path, [1, 2], [*TINY, "data.demo.recordings_per_type=10", "trainer.max_epochs=1"])
    assert result["counts"] == [1, 2]
    assert all(0 < inside < whole for inside, whole in zip(result["runs_s"], result["seconds"], strict=True))


@pytest.mark.slow
def test_a_run_in_its_own_process_is_stopped_when_enough_was_seen(tmp_path):
    overrides = ["trainer=turbo", "data.batch_size=8"]
    overrides += processes.in_own_process(
        "benchmarks.segments:write_noise", folder=str(tmp_path), count=24, overrides=overrides
    )
    noted = processes.in_own_process("benchmarks.our_run:time_run", overrides=overrides, segments=40)
    assert [size for _, size, _ in noted["batches"]] == [8] * 5
    assert noted["epochs"] == [] and noted["peak_memory_mb"] > 100


def test_a_part_that_is_not_there_is_left_out(tmp_path):
    console = Console(file=io.StringIO())
    assert __main__.measure_all(["no_such_part"], True, tmp_path / "plot.png", console)["parts"] == {}
    assert "no_such_part is not there" in console.file.getvalue()


def test_other_work_is_seen():
    assert 0 <= __main__.busy_share(0.2) <= 1


def test_the_machine_is_described_without_its_name():
    described = json.dumps(__main__.describe_machine())
    assert platform.python_version() in described
    assert not platform.node() or f'"{platform.node()}"' not in described
