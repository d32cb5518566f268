"""A head is decided and judged without anything that its trunk learned from."""

from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from birdnet_nl.training.embedding_module import EmbeddingClassifier
from birdnet_nl.training.losses import LossSettings
from torch import nn

from birdnet_nl.audio.augment import MelAugment
from birdnet_nl.evaluation.trained_on import TrainedOn
from birdnet_nl.models.registry import build_network
from birdnet_nl.models.residual_head import ResidualHead
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.runs.base_model import BaseRun, check_not_seen, enough_for_a_head, recordings_fitted_to
from birdnet_nl.species.table import get_species
from birdnet_nl.training.schedules import follow_validation
from birdnet_nl.util.errors import RunError

OF_FEATURES = {
    "_target_": "birdnet_nl.models.recording_classifier.BagNetwork", "types": 2, "dimensions": [3], "pooling": ["mean"],
    "penalty": 1.0,
}  # fmt: skip


@pytest.fixture
def classify(small_mel):
    def classifier(network: nn.Module) -> EmbeddingClassifier:
        return EmbeddingClassifier(
            network=network, mel=small_mel, types=["song", "call"], class_weights=torch.ones(2),
            optimizer=torch.optim.Adam, scheduler=partial(follow_validation, factor=0.5, patience=1, min_lr=0.0),
            augment=MelAugment(0.0, 0, 0.0, 0, 0.0), loss=LossSettings(0.0, "one", "mean", 0.0, 0.0), seed=1, card={},
            channels_last=False, lean_blocks=False,
        )  # fmt: skip

    return classifier


def test_validation_is_answered_by_the_trunk_that_had_not_learned_from_it(classify, tmp_path):
    torch.manual_seed(0)
    pool = classify(build_network(OF_FEATURES))
    for weights in pool.parameters():  # the two networks of a pool differ
        nn.init.normal_(weights)
    torch.save({"state_dict": pool.state_dict(), "birdnet_nl": {}}, tmp_path / "best.ckpt")
    trained = SimpleNamespace(checkpoint=tmp_path / "best.ckpt", at_temperature_1=SimpleNamespace(network=pool.network))
    base, network = BaseRun(tmp_path, trained, None), ResidualHead(2, OF_FEATURES, sharpness=1.0, l2=1.0)
    base.give_weights(network, Counter(song=5, call=5))
    head = classify(network)
    base.give_earlier_weights(head)
    batch = torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
    final = head(*batch)
    torch.testing.assert_close(final, pool(*batch))
    with head.as_validated(), pool.as_validated():
        earlier = head(*batch)
        torch.testing.assert_close(earlier, pool(*batch))
    assert not torch.allclose(final, earlier)


def test_what_the_trunk_learned_from_is_not_tested_under_another_name():
    met = TrainedOn(frozenset({"XC1"}), (), frozenset(), Counter())
    base = BaseRun(Path("run"), SimpleNamespace(trained_on=met), None)
    recordings = [Recording(f"XC{number}", Path(f"XC{number}.mp3"), "vink", "song", "song") for number in (1, 2)]

    def data(splits: dict[str, str], synthetic: bool = False) -> SimpleNamespace:
        prepared = SimpleNamespace(recordings=recordings, splits=splits)
        return SimpleNamespace(prepared=prepared, synthetic=synthetic, species=get_species("vink"))

    check_not_seen(base, data({"XC1": "train", "XC2": "test"}))
    check_not_seen(base, data({"XC1": "test", "XC2": "test"}, synthetic=True))
    with pytest.raises(RunError, match=r"learned from 1 of the 2 test recordings of vink \(XC1\.mp3 has the same"):
        check_not_seen(base, data({"XC1": "test", "XC2": "test"}))


def test_a_head_needs_two_recordings_of_two_types():
    assert enough_for_a_head(Counter(song=2, call=2))
    assert not enough_for_a_head(Counter(song=9, call=1, alarm=1))


@pytest.mark.parametrize(("features", "songs"), [(None, 4), ("birdnet", 5)])
def test_a_head_on_features_is_fitted_to_validation_recordings_too(features, songs):
    counts = {"train": Counter(song=4, call=2), "val": Counter(song=1), "test": Counter(song=7)}
    data = SimpleNamespace(features=features, recording_counts=lambda: counts)
    assert recordings_fitted_to(data) == Counter(song=songs, call=2)
