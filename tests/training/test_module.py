"""Segments pooled to recordings, and a tiny network that learns what can be learned."""

from functools import partial

import pytest
import torch
from torch.utils.data import TensorDataset

from birdnet_nl.audio.augment import MelAugment
from birdnet_nl.models.compact_cnn import CompactCnn
from birdnet_nl.models.emsn_cnn import EmsnCnn
from birdnet_nl.training.engine import EngineState
from birdnet_nl.training.module import SegmentClassifier, pool_recordings, types_of_recordings
from birdnet_nl.util.errors import RunError

EMSN = partial(EmsnCnn, channels=[8, 16], hidden=16, channel_dropout=0.1, hidden_dropout=0.2)
COMPACT = partial(CompactCnn, channels=[8, 16], dropout=0.1)
PLATEAU = partial(torch.optim.lr_scheduler.ReduceLROnPlateau, factor=0.5, patience=1, min_lr=0.0)


def engine(**changes) -> EngineState:
    values = {
        "threads": 1, "threads_asked": 1, "cores": 1, "precision": "fp32", "channels_last": False,
        "lean_blocks": False, "keeps_memory": False, "device": "cpu",
    }  # fmt: skip
    return EngineState(**values | changes)


def make_module(**changes) -> SegmentClassifier:
    torch.manual_seed(0)
    settings = {"network": EMSN, "optimizer": partial(torch.optim.Adam, lr=1e-2), "scheduler": PLATEAU, "seed": 1}
    engine_state = changes.pop("engine", None)
    module = SegmentClassifier(**settings | changes)
    module.engine = engine_state
    return module


def test_pooling_is_the_mean_over_the_segments_of_a_recording():
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.1, 0.9], [0.6, 0.4]])
    recordings = torch.tensor([0, 2, 0, 1, 2])
    expected = torch.tensor([[0.7, 0.3], [0.1, 0.9], [0.4, 0.6]])
    torch.testing.assert_close(pool_recordings(probabilities, recordings), expected)
    order = torch.tensor([4, 2, 0, 3, 1])
    torch.testing.assert_close(pool_recordings(probabilities[order], recordings[order]), expected)


def test_pooling_takes_bf16_and_adds_in_fp32():
    probabilities = torch.full((1000, 2), 0.5, dtype=torch.bfloat16)
    pooled = pool_recordings(probabilities, torch.zeros(1000, dtype=torch.int64))
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, torch.tensor([[0.5, 0.5]]))


def test_the_type_of_a_recording_is_that_of_its_segments():
    types, recordings = torch.tensor([2, 0, 2, 1, 0]), torch.tensor([0, 2, 0, 1, 2])
    assert types_of_recordings(types, recordings).tolist() == [2, 1, 0]


@pytest.mark.parametrize("network", [EMSN, COMPACT])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_tiny_network_learns_two_patterns(small_mel, make_trainer, network, channels_last, pattern_data):
    module = make_module(network=network, engine=engine(channels_last=channels_last))
    make_trainer(5).fit(module, datamodule=pattern_data(small_mel))
    assert module.history[-1]["val/accuracy"] > 0.95
    assert module.history[-1]["val/recording_balanced_accuracy"] > 0.95
    assert module.history[-1]["train/loss"] < module.history[0]["train/loss"]


def test_permuted_types_cannot_be_learned(small_mel, make_trainer, pattern_data, patterns):
    val = patterns(200, seed=2)
    permuted = torch.randperm(100, generator=torch.Generator().manual_seed(5))
    shuffled = TensorDataset(val.tensors[0], (permuted % 2).repeat_interleave(2), val.tensors[2])
    module = make_module()
    make_trainer(3).fit(module, datamodule=pattern_data(small_mel, val=shuffled))
    assert 0.3 < module.history[-1]["val/recording_balanced_accuracy"] < 0.7


def test_history_holds_one_row_per_epoch_with_every_number(small_mel, make_trainer, pattern_data, patterns):
    module = make_module()
    make_trainer(3).fit(module, datamodule=pattern_data(small_mel, patterns(48, seed=1), patterns(16, seed=2)))
    assert [row["epoch"] for row in module.history] == [0, 1, 2]
    assert set(module.history[0]) == {
        "epoch", "train/loss", "train/accuracy", "train/macro_f1", "val/loss", "val/accuracy", "val/macro_f1",
        "val/recording_balanced_accuracy", "learning_rate", "seconds",
    }  # fmt: skip
    assert all(type(value) in (int, float) for row in module.history for value in row.values())


def test_the_metrics_of_an_epoch_are_those_of_the_whole_split(small_mel, make_trainer, pattern_data, patterns):
    weights = torch.tensor([1.0, 3.0])
    module, val = make_module(), patterns(24, seed=2)
    make_trainer(1).fit(module, datamodule=pattern_data(small_mel, patterns(48, 1), val, class_weights=[1.0, 3.0]))
    module.eval()
    with torch.inference_mode():
        logits = module(val.tensors[0])
    row, types = module.history[0], val.tensors[1]
    assert row["val/accuracy"] == pytest.approx(float((logits.argmax(dim=1) == types).float().mean()))
    batches = [slice(0, 16), slice(16, 24)]  # the loss of a batch is a weighted mean; batches count by their segments
    losses = [torch.nn.functional.cross_entropy(logits[b], types[b], weight=weights) for b in batches]
    assert row["val/loss"] == pytest.approx(float(losses[0] * 16 + losses[1] * 8) / 24, rel=1e-4)


def test_the_loss_follows_the_class_weights(small_mel, pattern_data, patterns):
    module = make_module()
    module.build(pattern_data(small_mel, class_weights=[1.0, 3.0]))
    batch = patterns(8, seed=3).tensors
    module.eval()
    log_likelihood = module(batch[0]).log_softmax(dim=1)[torch.arange(8), batch[1]]
    weights = torch.tensor([1.0, 3.0])[batch[1]]
    torch.testing.assert_close(module.training_step(batch, 0), -(weights * log_likelihood).sum() / weights.sum())


def test_the_learning_rate_falls_when_the_validation_loss_stays(small_mel, make_trainer, pattern_data, patterns):
    class ConstantLoss(SegmentClassifier):
        """Its validation loss is the same in every epoch."""

        def validation_step(self, batch, index):
            super().validation_step(batch, index)
            self.val_loss.reset()
            self.val_loss.update(1.0)

    module = make_module()
    module.__class__ = ConstantLoss
    make_trainer(6).fit(module, datamodule=pattern_data(small_mel, patterns(16, seed=1), patterns(16, seed=2)))
    # patience 1: best in epoch 0, tolerated in epoch 1, halved after epoch 2, and again after two more
    assert [row["learning_rate"] for row in module.history] == [1e-2, 1e-2, 1e-2, 5e-3, 5e-3, 2.5e-3]


def test_a_constant_learning_rate_needs_no_scheduler(small_mel, make_trainer, pattern_data, patterns):
    module = make_module(scheduler=None)
    make_trainer(2).fit(module, datamodule=pattern_data(small_mel, patterns(16, seed=1), patterns(16, seed=2)))
    assert [row["learning_rate"] for row in module.history] == [1e-2, 1e-2]


def test_predictions_are_probabilities_with_their_type_and_recording(small_mel, make_trainer, pattern_data):
    module, data = make_module(), pattern_data(small_mel)
    module.build(data)
    batches = make_trainer(1).predict(module, data.val_dataloader())
    probabilities, types, recordings = (torch.cat(parts) for parts in zip(*batches, strict=True))
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(32))
    assert torch.equal(types, data.val.tensors[1]) and torch.equal(recordings, data.val.tensors[2])


def test_memory_layout_does_not_change_predictions(small_mel, pattern_data, patterns):
    mel_db, logits = patterns(4, seed=3).tensors[0], []
    for channels_last in (False, True):
        module = make_module(engine=engine(channels_last=channels_last))
        module.build(pattern_data(small_mel))
        with torch.inference_mode():
            logits.append(module.eval()(mel_db))
    torch.testing.assert_close(*logits, atol=1e-5, rtol=1e-5)


def test_augmentation_and_label_smoothing_change_training_only(small_mel, make_trainer, pattern_data, patterns):
    smoothed_loss = partial(torch.nn.CrossEntropyLoss, label_smoothing=0.2)
    plain, augmented = make_module(), make_module(augment=MelAugment(0.5, 1, 0.2, 1, 0.2), loss=smoothed_loss)
    for module in (plain, augmented):
        make_trainer(4).fit(module, datamodule=pattern_data(small_mel))
    assert augmented.history[-1]["train/loss"] > plain.history[-1]["train/loss"]
    val = patterns(32, seed=2)
    cross_entropy = torch.nn.functional.cross_entropy(augmented.eval()(val.tensors[0]), val.tensors[1])
    assert augmented.history[-1]["val/loss"] == pytest.approx(float(cross_entropy.detach()), rel=0.05)


def test_recordings_of_several_types_train_all_of_them_and_count_for_no_metric(
    small_mel, make_trainer, pattern_data, patterns
):
    mel_db, types, recordings = patterns(32, seed=1).tensors
    both = torch.maximum(mel_db[0:16:4], mel_db[2:16:4])  # a tone and a click
    train = TensorDataset(
        torch.cat([mel_db, both]),
        torch.cat([types, torch.full((4,), -1)]),
        torch.cat([recordings, torch.arange(16, 20)]),
    )
    shares = torch.cat([torch.nn.functional.one_hot(torch.arange(16) % 2, 2).float(), torch.full((4, 2), 0.5)])
    module = make_module(network=COMPACT)
    make_trainer(15).fit(module, datamodule=pattern_data(small_mel, train, patterns(16, seed=2), shares=shares))
    probabilities = module.eval()(train.tensors[0]).softmax(dim=1)
    assert (probabilities[32:].max(dim=1).values < 0.9).all() and module.history[-1]["train/accuracy"] > 0.9


def test_pretrained_weights_are_not_used_with_the_demo(small_mel, capsys, pattern_data):
    module = make_module(network=partial(COMPACT, pretrained="synthetic"))
    module.build(pattern_data(small_mel))
    assert module.metadata["pretraining"] is None and not module.starts_pretrained
    assert module.learning_rate == 1e-2
    assert "no pretrained weights: the demo comes from the generator" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pretrained_lr_scale": 0}, r"^module\.pretrained_lr_scale=0 must be above 0"),
        ({"network": partial(COMPACT, pretrained=3)}, r"^model\.pretrained=3 must be synthetic, null, or a file"),
        ({"network": partial(COMPACT, dropout=2)}, r"^model\.dropout=2"),
        ({"network": partial(COMPACT, channels=3)}, r"^model=CompactCnn cannot be built from these values"),
    ],
)
def test_wrong_values_are_refused_before_anything_takes_time(change, message):
    with pytest.raises(ValueError, match=message):
        make_module(**change)


def test_a_missing_file_of_weights_is_reported():
    with pytest.raises(RunError, match=r"^model\.pretrained=nowhere\.pt is neither synthetic nor null"):
        make_module(network=partial(COMPACT, pretrained="nowhere.pt"))
