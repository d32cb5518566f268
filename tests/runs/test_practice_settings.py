"""Who practises on invented birds: real recordings where it was asked for, never the demo, and what fits only."""

from types import SimpleNamespace

import pytest
import torch

from birdnet_nl.embeddings import synthetic as feature_practice
from birdnet_nl.embeddings.bands import Bands
from birdnet_nl.models.pretrained import SHIPPED
from birdnet_nl.runs.practice import PracticeSettings, find_practice
from birdnet_nl.training.practising import MEL, NETWORK, SEGMENT_S
from birdnet_nl.util.errors import RunError

TYPES = ["song", "call", "alarm"]


def settings(use: str, recordings: int = 7) -> PracticeSettings:
    return PracticeSettings(use=use, rate_share=0.5, recordings=recordings, weight=1.0)


@pytest.fixture
def data(tmp_path):
    """What `find_practice` asks of a data module of real recordings."""
    return SimpleNamespace(
        synthetic=False, features=None, mel=MEL, segment_s=SEGMENT_S, segment_hop_s=1.5, features_dir=tmp_path,
        decode_workers=1, prepared=SimpleNamespace(types=TYPES),
    )  # fmt: skip


def test_real_recordings_start_from_the_weights_that_come_along(data):
    used = find_practice(settings("auto"), NETWORK, data)
    assert used.weights is not None and used.batch is None
    assert used.card["rate_share"] == 0.5 and used.card["recordings"] > 1000


def test_the_demo_never_practises(data):
    data.synthetic = True
    assert find_practice(settings("auto"), NETWORK, data).weights is None
    with pytest.raises(RunError, match="the figures would flatter"):
        find_practice(settings(str(SHIPPED)), NETWORK, data)


def test_never_is_never(data):
    assert find_practice(settings("never"), NETWORK, data).card is None


def test_weights_that_do_not_fit_are_left_out_or_refused_when_named(data, capsys):
    other = {**NETWORK, "channels": [8, 16]}
    assert find_practice(settings("auto"), other, data).weights is None
    assert "of other sizes" in capsys.readouterr().err
    with pytest.raises(RunError, match="does not fit this run"):
        find_practice(settings(str(SHIPPED)), other, data)
    with pytest.raises(RunError, match=r"^practice\.use=nver is neither auto nor never, nor a file"):
        find_practice(settings("nver"), NETWORK, data)


def test_features_are_learned_of_invented_recordings_of_the_types_in_use(data, monkeypatch):
    monkeypatch.setattr(feature_practice, "IN_A_FILE", 4)
    data.features, data.prepared.types = Bands(), ["call", "alarm"]
    used = find_practice(settings("auto"), {}, data)
    windows, types, recordings = used.batch
    assert windows.shape == (len(types), 65) and len(recordings) == len(types)
    assert recordings.unique().tolist() == [0, 1, 2, 3]  # 1, 2, 4 and 5 of the seven: calls and alarms
    of_recording = [types[recordings == index].unique().tolist() for index in range(4)]
    assert of_recording == [[0], [1], [0], [1]]
    assert torch.isfinite(windows.float()).all()
    with pytest.raises(RunError, match=r"is not; take practice\.use=auto, or never"):
        find_practice(settings(str(SHIPPED)), {}, data)


@pytest.mark.parametrize(
    "values, said",
    [
        ({"use": None}, r"^practice\.use=None must be auto, never"),
        ({"recordings": 2}, r"^practice\.recordings=2 must be at least 3"),
        ({"recordings": 9.5}, r"^practice\.recordings=9.5 must be a whole number"),
        ({"weight": 0}, r"^practice\.weight=0 must be above 0"),
        ({"rate_share": -0.5}, r"^practice\.rate_share=-0.5 must be above 0"),
    ],
)
def test_nonsense_is_refused(values, said):
    with pytest.raises(ValueError, match=said):
        PracticeSettings(**{"use": "auto", "rate_share": 0.5, "recordings": 9, "weight": 1.0, **values})
