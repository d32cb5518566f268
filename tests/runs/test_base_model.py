"""A head is calibrated and tested without anything that its base was trained on."""

from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.embedded import EmbeddedSplits
from birdnet_nl.evaluation.calibration import Calibration
from birdnet_nl.evaluation.trained_on import TrainedOn
from birdnet_nl.models.registry import build_network
from birdnet_nl.models.residual_head import ResidualHead
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.type_set import TypeSet
from birdnet_nl.runs.base_model import BaseRun, HeadDataModule, _EmbeddingHead
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import RunError

NETWORK = {
    "_target_": "birdnet_nl.models.recording_classifier.RecordingClassifier", "types": 2, "blocks": [3],
    "pooling": ["mean"], "l2": 1.0,
}  # fmt: skip


def make_data(**attributes) -> HeadDataModule:
    """A HeadDataModule with attributes of the test instead of recordings."""
    data = HeadDataModule.__new__(HeadDataModule)
    for name, value in attributes.items():
        setattr(data, name, value)
    return data


def test_validation_recordings_are_predicted_by_the_base_that_was_not_trained_on_them(small_mel, tmp_path, monkeypatch):
    torch.manual_seed(0)
    final, train_only = build_network(NETWORK), build_network(NETWORK)
    for network in (final, train_only):
        nn.init.normal_(network.head.weight)
    state = {f"train_only_network.{name}": value for name, value in train_only.state_dict().items()}
    torch.save({"state_dict": state, "birdnet_nl": {}}, tmp_path / "best.ckpt")
    classifier = SimpleNamespace(
        types=["song", "call"], checkpoint=tmp_path / "best.ckpt", network=final, metadata={"network": NETWORK},
        calibration=Calibration(1.0, "network", 0), threshold=None,
    )  # fmt: skip
    head = _EmbeddingHead(network=partial(ResidualHead, l2=1.0))
    head.types = classifier.types
    train = SimpleNamespace(embeddings=torch.zeros(1, 4))
    data = make_data(
        base=BaseRun(tmp_path, classifier, None), species=get_species("vink"), embeddings=object(),
        embedded=EmbeddedSplits({"train": train}, None, None), multilabel_weight=0.0,
        recording_counts=lambda: {split: Counter(song=5, call=5) for split in ("train", "val", "test")},
        describe_synthetic=lambda: None, extra_weights={},
    )  # fmt: skip
    head.network, _ = head.build_network(data)
    batch = torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
    torch.testing.assert_close(head(*batch), final(*batch))
    with head.without_validation_data():
        torch.testing.assert_close(head(*batch), train_only(*batch))
    assert not torch.allclose(final(*batch), train_only(*batch))


def test_a_recording_that_the_base_was_trained_on_is_not_tested_in_another_folder(monkeypatch):
    trained_on = TrainedOn(frozenset({"XC1"}), (), frozenset(), Counter())
    recordings = [Recording(f"XC{number}", Path(f"XC{number}.mp3"), "vink", "song", "song") for number in (1, 2)]

    def check(synthetic: bool = False, **splits: str) -> None:
        monkeypatch.setattr(SpeciesDataModule, "synthetic", synthetic)
        data = make_data(
            base=BaseRun(Path("run"), SimpleNamespace(trained_on=trained_on), None),
            prepared=SimpleNamespace(recordings=recordings, splits=splits), species=get_species("vink"),
        )  # fmt: skip
        data._check_test_not_seen()

    check(XC1="train", XC2="test")
    check(synthetic=True, XC1="test", XC2="test")
    with pytest.raises(RunError, match=r"trained on 1 of the 2 test recordings of vink \(XC1\.mp3 has the same"):
        check(XC1="test", XC2="test")


@pytest.mark.parametrize(
    ("counts", "suffices"), [({"song": 2, "call": 2}, True), ({"song": 9, "call": 1, "alarm": 1}, False)]
)
def test_a_head_needs_two_recordings_of_two_types(counts, suffices):
    assert make_data(recording_counts=lambda: {"train": Counter(counts)}).suffices_for_head == suffices


@pytest.mark.parametrize(("embeddings", "songs"), [(None, 4), ("birdnet", 5)])
def test_a_head_on_embeddings_is_fitted_to_validation_recordings_too(embeddings, songs):
    counts = {"train": Counter(song=4, call=2), "val": Counter(song=1), "test": Counter(song=7)}
    data = make_data(embeddings=embeddings, recording_counts=lambda: counts)
    assert data.fitted_recordings == Counter(song=songs, call=2)


def test_the_types_of_a_head_are_those_of_its_base_with_their_sounds():
    """Whatever `data/types` is: with three, the flight calls of a base of ten types would be calls."""
    type_set = TypeSet.of({"song": ["song"], "flight_call": ["flight call"]})
    classifier = SimpleNamespace(
        mel=None, types=["song", "flight_call"], type_set=type_set, embedding_model=None,
        metadata={"segment_s": 3.0, "segment_hop_s": 1.5},
    )  # fmt: skip
    settings = BaseRun(Path("run"), classifier, None).data_settings()
    assert TypeSet.of(settings["sounds"], settings["flight_call"]) == type_set
    assert settings["types"] == ["song", "flight_call"]
