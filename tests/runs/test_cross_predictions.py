"""Cross-validated predictions, on which temperature and threshold are chosen."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from sklearn.metrics import roc_auc_score

import birdnet_nl.runs.cross_predictions as cross
from birdnet_nl.data.multilabel import MultilabelBatch, MultilabelRecordings
from birdnet_nl.data.splits import group_of
from tests.runs.conftest import EMBEDDINGS, POOL, read_metrics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def module_and_data(compose_run, extension, cache):
    cfg = compose_run(*EMBEDDINGS, *POOL)
    data, module = instantiate(cfg.data, _convert_="all"), instantiate(cfg.module, _convert_="all")
    data.setup()
    module.build(data)
    return module, data


@pytest.fixture
def parts(monkeypatch):
    """Recordings that each part is fitted to and that it predicts, and whether multilabel recordings are fitted to."""
    calls, predict_part = [], cross._predict_part

    def spy(module, batch, weights, fitted, held_out):
        calls.append((fitted, held_out, module.multilabel_batch))
        return predict_part(module, batch, weights, fitted, held_out)

    monkeypatch.setattr(cross, "_predict_part", spy)
    return calls


def fitted_recordings(data):
    by_id = {recording.id: recording for recording in data.prepared.recordings}
    return [by_id[id] for split in ("train", "val") for id in data.embedded.datasets[split].recording_ids]


def test_each_recording_is_predicted_once_by_a_network_without_its_recordist(module_and_data, parts):
    module, data = module_and_data
    predictions, recordings = cross.cross_predictions(module, data), fitted_recordings(data)
    assert len(parts) == 5 and sorted(predictions.recording_ids) == sorted(recording.id for recording in recordings)
    for fitted, held_out, _ in parts:
        groups = [{group_of(recordings[index]) for index in indices} for indices in (fitted, held_out)]
        assert groups[0].isdisjoint(groups[1]) and len(fitted) + len(held_out) == len(recordings)
    of_type = {recording.id: data.prepared.types.index(recording.vocalization_type) for recording in recordings}
    assert predictions.types_of_recordings.tolist() == [of_type[id] for id in predictions.recording_ids]
    auroc = roc_auc_score(predictions.types_of_recordings, predictions.whole, multi_class="ovr")
    assert auroc > 0.65  # predictions and types are in the same order


def test_multilabel_recordings_of_a_predicted_recordist_are_left_out(module_and_data, parts, monkeypatch):
    module, data = module_and_data
    several = [replace(recording, vocalization_type=None) for recording in fitted_recordings(data)[:6]]
    monkeypatch.setattr(data, "multilabel", MultilabelRecordings(several))
    rows = torch.zeros(6, 1 + data.embeddings.dimensions, dtype=torch.float16)
    batch = MultilabelBatch(rows, torch.full((6, 3), 1 / 3), torch.arange(6))
    monkeypatch.setattr(module, "multilabel_batch", batch)
    cross.cross_predictions(module, data)
    recordings = fitted_recordings(data)
    for _, held_out, multilabel in parts:
        groups = {group_of(recordings[index]) for index in held_out}
        expected = sum(group_of(recording) not in groups for recording in several)
        assert (0 if multilabel is None else len(multilabel.shares)) == expected
    assert module.multilabel_batch is batch


def test_extra_recordings_are_not_predicted(module_and_data, monkeypatch):
    module, data = module_and_data
    extra = frozenset(recording.id for recording in fitted_recordings(data)[:7])
    monkeypatch.setattr(data, "prepared", replace(data.prepared, extra=extra))
    predictions = cross.cross_predictions(module, data)
    assert extra.isdisjoint(predictions.recording_ids)
    assert len(predictions.recording_ids) == len(fitted_recordings(data)) - 7
    assert np.isfinite(predictions.whole.numpy()).all()


def test_extra_recordings_keep_their_weight(module_and_data, monkeypatch):
    module, data = module_and_data
    ids = [recording.id for recording in fitted_recordings(data)]
    extra = dict.fromkeys(data.embedded.datasets["train"].recording_ids[:7], 0.25)
    monkeypatch.setattr(data, "extra_weights", extra)
    fit, weights = module._fit, []
    monkeypatch.setattr(module, "_fit", lambda *arguments: weights.append(arguments[2]) or fit(*arguments))
    cross.cross_predictions(module, data)
    assert len(weights) == 5 and sum(float(part.sum()) for part in weights) == pytest.approx(
        4 * sum(extra.get(id, 1.0) for id in ids)
    )  # each recording is fitted to in four of the five parts


def test_a_probe_is_calibrated_on_training_and_validation_recordings_and_a_cnn_on_validation(
    embeddings_run, turbo_pool_run
):
    for run_dir, splits in ((embeddings_run, ("train", "val")), (turbo_pool_run, ("val",))):
        report = read_metrics(run_dir)
        count = sum(sum(report["counts"]["recordings"][split].values()) for split in splits)
        assert report["calibration"]["fitted_on"] == report["threshold_choice"]["recordings"] == count
        assert 0 <= report["decision"]["threshold"] <= 1
