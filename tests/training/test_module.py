"""Segments pooled to recordings, and a tiny network that learns what can be learned."""

from functools import partial

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from birdnet_nl.audio.augment import MelAugment
from birdnet_nl.models.registry import build_network
from birdnet_nl.training.losses import LossSettings
from birdnet_nl.training.module import TypeClassifier, pool_recordings, types_of_recordings
from birdnet_nl.training.schedules import follow_validation
from birdnet_nl.training.teacher import Lesson
from birdnet_nl.util.errors import RunError

pytestmark = pytest.mark.usefixtures("one_thread")

NETWORK = {
    "_target_": "birdnet_nl.models.emsn_cnn.EmsnCnn", "types": 2, "channels": [8, 16], "hidden": 16,
    "channel_dropout": 0.1, "hidden_dropout": 0.2,
}  # fmt: skip


ONE_TYPE = {
    "label_smoothing": 0.0, "kind": "one", "bag_pooling": "log_mean_exp", "teacher_share": 0.5, "embedding_weight": 1.0
}  # fmt: skip


def test_pooling_is_the_mean_over_a_recordings_segments_by_hand():
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.1, 0.9], [0.6, 0.4]])
    recordings = torch.tensor([0, 2, 0, 1, 2])
    expected = torch.tensor([[0.7, 0.3], [0.1, 0.9], [0.4, 0.6]])
    torch.testing.assert_close(pool_recordings(probabilities, recordings), expected)


def test_pooling_does_not_depend_on_the_order_of_segments():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(60, 3, generator=generator)
    recordings = torch.arange(60) % 7
    order = torch.randperm(60, generator=generator)
    torch.testing.assert_close(
        pool_recordings(probabilities[order], recordings[order]), pool_recordings(probabilities, recordings)
    )
    for index in range(7):
        by_hand = probabilities[recordings == index].mean(dim=0)
        torch.testing.assert_close(pool_recordings(probabilities, recordings)[index], by_hand)


def test_pooling_takes_bf16_and_adds_in_fp32():
    probabilities = torch.full((1000, 2), 0.5, dtype=torch.bfloat16)
    pooled = pool_recordings(probabilities, torch.zeros(1000, dtype=torch.int64))
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, torch.tensor([[0.5, 0.5]]))


def test_the_type_of_a_recording_is_that_of_its_segments():
    types, recordings = torch.tensor([2, 0, 2, 1, 0]), torch.tensor([0, 2, 0, 1, 2])
    assert types_of_recordings(types, recordings).tolist() == [2, 1, 0]


def patterns(count: int, seed: int, classes: int = 2) -> TensorDataset:
    """Segments of recordings of two segments each: a steady tone (a line along time) or a click (one across), in noise.

    Not two pitches: the network averages over mels, so it hardly knows how high a sound is.
    """
    generator = torch.Generator().manual_seed(seed)
    recordings = torch.arange(count) // 2
    types = recordings % classes
    mel_db = -60 + 5 * torch.randn(count, 16, 24, generator=generator)
    for index, kind in enumerate(types.tolist()):
        place = int(torch.randint(2, 14, (1,), generator=generator))
        line = mel_db[index, place] if kind == 0 else mel_db[index, :, place]
        line += 40
    return TensorDataset(mel_db.half(), types, recordings)


@pytest.fixture
def make_module(small_mel):
    def make(**changes) -> TypeClassifier:
        torch.manual_seed(0)
        settings = {
            "network": build_network(NETWORK), "mel": small_mel, "types": ["song", "call"],
            "class_weights": torch.ones(2), "optimizer": partial(torch.optim.Adam, lr=1e-2),
            "scheduler": partial(follow_validation, factor=0.5, patience=1, min_lr=0.0),
            "augment": MelAugment(0.0, 0, 0.0, 0, 0.0), "loss": LossSettings(**ONE_TYPE), "seed": 1,
            "card": {"types": ["song", "call"]}, "channels_last": False, "lean_blocks": False,
        }  # fmt: skip
        return TypeClassifier(**{**settings, **changes})

    return make


@pytest.fixture
def make_trainer(tmp_path):
    def make(epochs: int, **options) -> L.Trainer:
        quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        return L.Trainer(
            **{
                "max_epochs": epochs, "accelerator": "cpu", "default_root_dir": tmp_path, "num_sanity_val_steps": 0,
                "enable_checkpointing": False, **quiet, **options,
            }
        )  # fmt: skip

    return make


def loaders(train: TensorDataset, val: TensorDataset) -> list[DataLoader]:
    generator = torch.Generator().manual_seed(0)
    return [DataLoader(train, batch_size=16, shuffle=True, generator=generator), DataLoader(val, batch_size=16)]


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_tiny_network_learns_two_patterns(make_module, make_trainer, channels_last):
    module = make_module(channels_last=channels_last)
    make_trainer(5).fit(module, *loaders(patterns(96, seed=1), patterns(32, seed=2)))
    assert module.history[-1]["val/accuracy"] > 0.95
    assert module.history[-1]["val/recording_balanced_accuracy"] > 0.95
    assert module.history[-1]["train/loss"] < module.history[0]["train/loss"]


def test_types_dealt_out_at_random_cannot_be_learned(make_module, make_trainer):
    module = make_module()
    val = patterns(200, seed=2)
    deal = torch.randperm(100, generator=torch.Generator().manual_seed(5))
    shuffled = TensorDataset(val.tensors[0], (deal % 2).repeat_interleave(2), val.tensors[2])
    make_trainer(3).fit(module, *loaders(patterns(96, seed=1), shuffled))
    assert 0.3 < module.history[-1]["val/recording_balanced_accuracy"] < 0.7


def test_history_holds_one_row_per_epoch_with_every_number(make_module, make_trainer):
    module = make_module()
    make_trainer(3).fit(module, *loaders(patterns(48, seed=1), patterns(16, seed=2)))
    assert [row["epoch"] for row in module.history] == [0, 1, 2]
    assert set(module.history[0]) == {
        "epoch", "train/loss", "train/accuracy", "train/macro_f1", "val/loss", "val/accuracy", "val/macro_f1",
        "val/recording_balanced_accuracy", "learning_rate", "seconds",
    }  # fmt: skip
    assert all(type(value) in (int, float) for row in module.history for value in row.values())


def test_the_epochs_numbers_are_those_of_the_whole_split(make_module, make_trainer):
    weights = torch.tensor([1.0, 3.0])
    module, val = make_module(class_weights=weights), patterns(24, seed=2)
    make_trainer(1).fit(module, *loaders(patterns(48, seed=1), val))
    module.eval()
    with torch.inference_mode():
        logits = module(val.tensors[0])
    row, types = module.history[0], val.tensors[1]
    assert row["val/accuracy"] == pytest.approx(float((logits.argmax(dim=1) == types).float().mean()))
    batches = [slice(0, 16), slice(16, 24)]  # each batch's loss is a weighted mean; batches count by their segments
    losses = [torch.nn.functional.cross_entropy(logits[b], types[b], weight=weights) for b in batches]
    assert row["val/loss"] == pytest.approx(float(losses[0] * 16 + losses[1] * 8) / 24, rel=1e-4)


def test_the_loss_follows_the_class_weights(make_module):
    module = make_module(class_weights=torch.tensor([1.0, 3.0])).eval()
    batch = patterns(8, seed=3).tensors
    logits = module(batch[0])
    log_likelihood = logits.log_softmax(dim=1)[torch.arange(8), batch[1]]
    weights = torch.tensor([1.0, 3.0])[batch[1]]
    expected = -(weights * log_likelihood).sum() / weights.sum()
    torch.testing.assert_close(module.training_step(batch, 0), expected)


def test_the_learning_rate_falls_when_the_validation_loss_stays(make_module, make_trainer):
    class Still(TypeClassifier):
        """Its validation loss is the same in every epoch."""

        def validation_step(self, batch, index):
            super().validation_step(batch, index)
            self.val_loss.reset()
            self.val_loss.update(1.0)

    torch.manual_seed(0)
    module = make_module()
    module.__class__ = Still
    make_trainer(6).fit(module, *loaders(patterns(16, seed=1), patterns(16, seed=2)))
    # patience 1: best in epoch 0, forgiven in epoch 1, halved after epoch 2, and again after two more
    assert [row["learning_rate"] for row in module.history] == [1e-2, 1e-2, 1e-2, 5e-3, 5e-3, 2.5e-3]


def test_predictions_are_probabilities_with_their_type_and_recording(make_module, make_trainer):
    module, val = make_module(), patterns(20, seed=2)
    batches = make_trainer(1).predict(module, DataLoader(val, batch_size=8))
    probabilities, types, recordings = (torch.cat(parts) for parts in zip(*batches, strict=True))
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(20))
    assert torch.equal(types, val.tensors[1]) and torch.equal(recordings, val.tensors[2])


def test_memory_layout_does_not_change_the_answer(make_module):
    mel_db = patterns(4, seed=3).tensors[0]
    with torch.inference_mode():
        plain, last = (make_module(channels_last=flag).eval()(mel_db) for flag in (False, True))
    torch.testing.assert_close(plain, last, atol=1e-5, rtol=1e-5)


def test_mixed_types_and_smoothing_are_of_training_alone(make_module, make_trainer):
    train, val = patterns(96, seed=1), patterns(32, seed=2)
    plain = make_module()
    mixed = make_module(
        augment=MelAugment(0.5, 1, 0.2, 1, 0.2), loss=LossSettings(**{**ONE_TYPE, "label_smoothing": 0.2})
    )
    for module in (plain, mixed):
        make_trainer(4).fit(module, *loaders(train, val))
    assert mixed.history[-1]["train/loss"] > plain.history[-1]["train/loss"]
    smoothed = torch.nn.functional.cross_entropy(mixed.eval()(val.tensors[0]), val.tensors[1])
    assert mixed.history[-1]["val/loss"] == pytest.approx(float(smoothed.detach()), rel=0.05)


COMPACT = {"_target_": "birdnet_nl.models.compact_cnn.CompactCnn", "types": 2, "channels": [8, 16], "dropout": 0.1}


def half_silent(count: int, seed: int) -> TensorDataset:
    """`patterns` of which every second segment, so one of each recording, holds nothing."""
    mel_db, types, recordings = patterns(count, seed).tensors
    generator = torch.Generator().manual_seed(seed + 100)
    mel_db[1::2] = (-60 + 5 * torch.randn(count // 2, 16, 24, generator=generator)).half()
    return TensorDataset(mel_db, types, recordings)


def in_order(data: TensorDataset) -> DataLoader:
    """Bags stay together."""
    return DataLoader(data, batch_size=16)


def test_bags_are_learned_and_silence_is_not_forced_to_be_a_type(make_module, make_trainer):
    train, val = half_silent(128, seed=1), half_silent(32, seed=2)
    forced, free = make_module(network=build_network(COMPACT)), make_module(network=build_network(COMPACT), bag=2)
    sure = {}
    for name, module in (("forced", forced), ("free", free)):
        make_trainer(8).fit(module, in_order(train), in_order(val))
        with torch.inference_mode():
            answers = module.eval()(train.tensors[0]).softmax(dim=1)
        sure[name] = float(answers[1::2].max(dim=1).values.mean())
        right = answers[::2].argmax(dim=1) == train.tensors[1][::2]
        assert right.float().mean() > 0.9
    assert sure["free"] < sure["forced"]


def test_bags_of_types_at_random_cannot_be_learned(make_module, make_trainer):
    module, val = make_module(network=build_network(COMPACT), bag=2), half_silent(200, seed=2)
    deal = torch.randperm(100, generator=torch.Generator().manual_seed(5)) % 2
    shuffled = TensorDataset(val.tensors[0], deal.repeat_interleave(2), val.tensors[2])
    make_trainer(3).fit(module, in_order(half_silent(96, seed=1)), in_order(shuffled))
    assert 0.3 < module.history[-1]["val/recording_balanced_accuracy"] < 0.7


def test_recordings_of_several_types_teach_all_of_them_and_count_for_no_figure(make_module, make_trainer):
    mel_db, types, recordings = patterns(32, seed=1).tensors
    both = torch.maximum(mel_db[0:16:4], mel_db[2:16:4])  # a tone and a click
    train = TensorDataset(
        torch.cat([mel_db, both]),
        torch.cat([types, torch.full((4,), -1)]),
        torch.cat([recordings, torch.arange(16, 20)]),
    )
    shares = torch.cat([torch.nn.functional.one_hot(torch.arange(16) % 2, 2).float(), torch.full((4, 2), 0.5)])
    module = make_module(network=build_network(COMPACT), shares=shares)
    make_trainer(15).fit(module, DataLoader(train, batch_size=12, shuffle=True), in_order(patterns(16, seed=2)))
    answers = module.eval()(train.tensors[0]).softmax(dim=1)
    assert (answers[32:].max(dim=1).values < 0.9).all() and module.history[-1]["train/accuracy"] > 0.9


@pytest.fixture
def lesson() -> Lesson:
    """Of the 48 recordings of `patterns(96)`: answers the wrong way round, features that tell the types apart."""
    types = torch.arange(48) % 2
    answers = torch.nn.functional.one_hot(1 - types, 2).float()
    features = torch.randn(2, 5, generator=torch.Generator().manual_seed(4))
    return Lesson(answers, features[types])


def test_a_student_learns_its_teachers_answers_as_far_as_asked(make_module, make_trainer, lesson):
    train, val = patterns(96, seed=1), patterns(32, seed=2)
    right = {}
    for share in (0.0, 1.0):
        module = make_module(
            network=build_network(COMPACT),
            bag=2,
            lesson=lesson,
            loss=LossSettings(**{**ONE_TYPE, "teacher_share": share}),
        )
        make_trainer(6).fit(module, in_order(train), in_order(val))
        right[share] = module.history[-1]["val/accuracy"]
    assert right[0.0] > 0.9 and right[1.0] < 0.1


def test_a_student_learns_its_teachers_features(make_module, make_trainer, lesson):
    train = patterns(96, seed=1)
    module = make_module(
        network=build_network(COMPACT), bag=2, lesson=lesson,
        loss=LossSettings(**{**ONE_TYPE, "teacher_share": 1.0, "embedding_weight": 3.0}),
    )  # fmt: skip
    make_trainer(10).fit(module, in_order(train), in_order(patterns(32, seed=2)))
    module.eval()
    with torch.inference_mode():
        features = module.network.features(module.normalise(train.tensors[0])[:, None])
        told = module.to_teacher(features.unflatten(0, (48, 2)).mean(dim=1))
    assert told.shape == lesson.embeddings.shape
    of_a_mean = ((lesson.embeddings - lesson.embeddings.mean(dim=0)) ** 2).mean()
    assert ((told - lesson.embeddings) ** 2).mean() < 0.3 * of_a_mean


def test_mixing_keeps_the_teachers_word_with_the_recordings(make_module, lesson):
    module = make_module(network=build_network(COMPACT), bag=2, lesson=lesson, augment=MelAugment(1.0, 0, 0.0, 0, 0.0))
    batch = tuple(part[:16] for part in patterns(96, seed=1).tensors)
    targets = module._targets(batch[1][::2], batch[2][::2])
    assert targets.shape == (8, 2 + 5)
    mel_db, mixed = module.augment(batch[0], targets, torch.Generator().manual_seed(0))
    own = torch.cat([0.5 * torch.ones(8, 2), lesson.embeddings[:8]], dim=1)  # half its type, half the opposite
    for row in mixed:
        assert any(torch.allclose(row, (own[one] + own[other]) / 2) for one in range(8) for other in range(8))
    assert mel_db.shape == batch[0].shape


def test_a_network_that_shows_no_features_is_no_student(make_module, lesson):
    with pytest.raises(RunError, match=r"^EmsnCnn cannot be a student; take model=compact_cnn"):
        make_module(lesson=lesson)
