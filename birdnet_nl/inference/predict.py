"""What a trained network says of recordings, be it one of mels, segment by segment, or one of features, as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import torch

from birdnet_nl.audio.cache import CachedMel, cache_mels
from birdnet_nl.data.dataset import Batch, FeatureDataset, SegmentDataset
from birdnet_nl.data.loading import SegmentBatches
from birdnet_nl.data.segment_activity import activity_of_segments
from birdnet_nl.data.segments import Segment, cut_segments
from birdnet_nl.embeddings.base import build_embedding_model
from birdnet_nl.embeddings.cache import cache_embeddings
from birdnet_nl.evaluation.embeddings import kept_features, pool_embeddings
from birdnet_nl.evaluation.metrics import Predictions
from birdnet_nl.inference.classifier import TrainedNetwork
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.training.checkpoint import Classifier
from birdnet_nl.util.console import progress_bar
from birdnet_nl.util.errors import DataError

BATCH = 64
FEATURES = "features"  # beside the folder of mels


@dataclass(frozen=True)
class Heard:
    """What a network made of recordings.

    Attributes:
        predictions: at temperature 1; its recording indices follow the mels that were given.
        embeddings: float32 [recordings, dimensions], what the answers were made of, pooled over each recording.
    """

    predictions: Predictions
    embeddings: torch.Tensor


def predict(
    classifier: Classifier, recordings: Sequence[Recording], mels: Mapping[str, CachedMel], mel_dir: Path
) -> Heard:
    """Answers to all recordings of `mels`, cut as in training. Types it does not know count as the first.

    `mel_dir` is the folder of mels; features, where the network wants such, are kept in the folder beside it.
    """
    card = classifier.card
    starts = {
        id: cut_segments(mel.frames / classifier.mel.frames_per_s, card["segment_s"], card["segment_hop_s"])
        for id, mel in mels.items()
    }
    segments = [Segment(id, start_s) for id, found in starts.items() for start_s in found]
    types = {name: index for index, name in enumerate(classifier.types)}
    type_of = {recording.id: types.get(recording.vocalization_type, 0) for recording in recordings}
    dataset = SegmentDataset(segments, mels, type_of, classifier.mel, card["segment_s"])
    species_of = {recording.id: recording.species for recording in recordings}
    species = [species_of[id] for id in dataset.recording_ids]
    if card.get("features") is None:
        return _hear_segments(classifier, dataset, species, activity_of_segments(dataset, mels, classifier.mel))
    embedding_model = build_embedding_model(card["features"], card.get("feature_weights"))
    with progress_bar() as bar:
        task = bar.add_task(f"features of {embedding_model.name}", total=len(mels) * embedding_model.passes)
        features = cache_embeddings(
            [recording for recording in recordings if recording.id in mels],
            mels,
            {id: len(found) for id, found in starts.items()},
            embedding_model,
            card["segment_hop_s"],
            mel_dir.parent / FEATURES,
            joblib.cpu_count(),
            lambda: bar.advance(task),
        )
    frames_per_window = card["segment_hop_s"] * classifier.mel.frames_per_s
    return _hear_whole(classifier, FeatureDataset(dataset, features, frames_per_window), species)


def _hear_segments(
    classifier: Classifier, dataset: SegmentDataset, species: Sequence[str], activity: torch.Tensor
) -> Heard:
    batches: list[Batch] = []
    with kept_features(classifier.network) as kept, progress_bar() as bar:
        task = bar.add_task("answering segments", total=len(dataset))
        for indices in SegmentBatches(len(dataset), BATCH):
            mel_db, types, recordings = dataset.__getitems__(indices)
            batches.append((classifier.probabilities(mel_db), types, recordings))
            bar.advance(task, len(indices))
    predictions = Predictions.join(batches, dataset.recording_ids, species, activity)
    return Heard(predictions, pool_embeddings(kept, predictions.recordings))


@torch.inference_mode()
def _hear_whole(classifier: Classifier, dataset: FeatureDataset, species: Sequence[str]) -> Heard:
    network, temperature = classifier.network, classifier.card["temperature"]
    alone = torch.arange(len(dataset))
    pooled = network.features(dataset.features, dataset.recordings)
    segments, whole = network(dataset.features, alone), network.forward_head(pooled)
    predictions = Predictions(
        (segments / temperature).softmax(dim=1),
        dataset.types,
        dataset.recordings,
        dataset.recording_ids,
        (whole / temperature).softmax(dim=1),
        species,
    )
    return Heard(predictions, pooled)


def predict_calibrated(
    trained: TrainedNetwork, recordings: Sequence[Recording], mel_dir: Path
) -> tuple[torch.Tensor, torch.Tensor]:
    """Calibrated probabilities [recordings, types] and embeddings [recordings, dimensions] in the order given.

    Mels and features come from the caches below `mel_dir` and beside it. Raises `DataError` for a file that gives none.
    """
    classifier = trained.at_temperature_1
    mels, unusable = cache_mels(recordings, classifier.mel, mel_dir, joblib.cpu_count())
    if unusable:
        raise DataError(f"{unusable[0].path} cannot be heard: it {unusable[0].reason}")
    heard = predict(classifier, recordings, mels, mel_dir)
    return trained.calibration.answers(heard.predictions), heard.embeddings
