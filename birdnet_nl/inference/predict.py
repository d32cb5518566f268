"""Predictions of a trained classifier for a set of recordings, from mel spectrograms or embeddings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import torch

from birdnet_nl.audio.cache import CachedMel, cache_mels
from birdnet_nl.data.dataset import Batch, SegmentDataset, activity_of_segments
from birdnet_nl.data.embedded import EmbeddingDataset
from birdnet_nl.data.loading import SegmentBatches
from birdnet_nl.data.segments import Segment, cut_segments
from birdnet_nl.embeddings.cache import NOT_FINITE, embed_recordings
from birdnet_nl.evaluation.metrics import Predictions
from birdnet_nl.evaluation.pooling import capture_embeddings, pool_embeddings
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.console import progress_bar
from birdnet_nl.util.errors import DataError

BATCH_SIZE = 64


@dataclass(frozen=True)
class PredictedRecordings:
    """Predictions for recordings, before calibration.

    Attributes:
        predictions: at temperature 1; the recording indices follow the mels that were given.
        features: what the last layer sees, pooled over each recording, float32 [recordings, features].
    """

    predictions: Predictions
    features: torch.Tensor


def predict(
    classifier: Classifier, recordings: Sequence[Recording], mels: Mapping[str, CachedMel], cache_dir: Path
) -> PredictedRecordings:
    """Predict all recordings of `mels`, cut into segments as in training.

    A type that the classifier does not know counts as its first. Embeddings are cached in `cache_dir`/embeddings.
    Recordings whose embeddings are not finite are missing in the result; raises `DataError` when no other is left.
    """
    metadata, mel = classifier.metadata, classifier.mel
    segment_s, hop_s = metadata["segment_s"], metadata["segment_hop_s"]
    starts = {id: cut_segments(cached.frames / mel.frames_per_s, segment_s, hop_s) for id, cached in mels.items()}
    embedded = None
    if classifier.embedding_model is not None:
        embedded = embed_recordings(
            [recording for recording in recordings if recording.id in mels],
            mels,
            {id: len(of_recording) for id, of_recording in starts.items()},
            classifier.embedding_model,
            hop_s,
            cache_dir / "embeddings",
            joblib.cpu_count(),
        )
        if not embedded:
            raise DataError(
                f"none of the {len(mels)} recordings can be used (first: {recordings[0].path}: {NOT_FINITE})"
            )
        starts = {id: of_recording for id, of_recording in starts.items() if id in embedded}
    segments = [Segment(id, start_s) for id, of_recording in starts.items() for start_s in of_recording]
    index_of = {name: index for index, name in enumerate(classifier.types)}
    type_of = {recording.id: index_of.get(recording.vocalization_type, 0) for recording in recordings}
    dataset = SegmentDataset(segments, mels, type_of, mel, segment_s)
    species_of = {recording.id: recording.species for recording in recordings}
    species = [species_of[id] for id in dataset.recording_ids]
    if embedded is None:
        return _predict_segments(classifier, dataset, species, activity_of_segments(dataset, mels, mel))
    return _predict_recordings(classifier, EmbeddingDataset(dataset, embedded, hop_s * mel.frames_per_s), species)


def _predict_segments(
    classifier: Classifier, dataset: SegmentDataset, species: Sequence[str], activity: torch.Tensor
) -> PredictedRecordings:
    batches: list[Batch] = []
    with capture_embeddings(classifier.network) as kept, progress_bar() as bar:
        task = bar.add_task("predicting segments", total=len(dataset))
        for indices in SegmentBatches(len(dataset), BATCH_SIZE):
            mel_db, types, recordings = dataset.__getitems__(indices)
            batches.append((classifier.probabilities(mel_db, temperature=1.0), types, recordings))
            bar.advance(task, len(indices))
    predictions = Predictions.join(batches, dataset.recording_ids, species, activity)
    return PredictedRecordings(predictions, pool_embeddings(kept, predictions.recordings))


@torch.inference_mode()
def _predict_recordings(
    classifier: Classifier, dataset: EmbeddingDataset, species: Sequence[str]
) -> PredictedRecordings:
    network = classifier.network
    alone = torch.arange(len(dataset))
    features = network.forward_features(dataset.embeddings, dataset.recordings)
    predictions = Predictions(
        network(dataset.embeddings, alone).softmax(dim=1),
        dataset.types,
        dataset.recordings,
        dataset.recording_ids,
        network.forward_head(features).softmax(dim=1),
        species,
    )
    return PredictedRecordings(predictions, features)


def predict_calibrated(
    classifier: Classifier, recordings: Sequence[Recording], cache_dir: Path
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return calibrated probabilities [recordings, types] and features [recordings, features] in the order given.

    Raises:
        DataError: for a file that gives no mel.
    """
    mels, unusable = cache_mels(recordings, classifier.mel, cache_dir / "mel", joblib.cpu_count())
    if unusable:
        raise DataError(f"{unusable[0].path} cannot be used: it {unusable[0].reason}")
    predicted = predict(classifier, recordings, mels, cache_dir)
    predicted_ids = set(predicted.predictions.recording_ids)
    for recording in recordings:
        if recording.id not in predicted_ids:
            raise DataError(f"{recording.path} cannot be used: {NOT_FINITE}")
    return classifier.calibration.recording_probabilities(predicted.predictions), predicted.features
