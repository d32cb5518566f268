"""From the segments of each split to their features."""

from collections.abc import Mapping
from pathlib import Path

from birdnet_nl.audio.mel import MelParams
from birdnet_nl.console import progress_bar
from birdnet_nl.data.dataset import FeatureDataset, SegmentDataset
from birdnet_nl.data.prepare import PreparedRecordings
from birdnet_nl.features.cache import cache_features
from birdnet_nl.features.extractor import FeatureExtractor


def refuse_windows(extractor: FeatureExtractor, segment_s: float, source: str) -> None:
    """Raise `ValueError` for segments that the extractor does not hear, `SetupError` where it is not installed."""
    if segment_s != extractor.window_s:
        raise ValueError(
            f"data.segment_s={segment_s} must be {extractor.window_s} with features of {extractor.name}, which hears "
            "so many seconds at a time"
        )
    if source == "spectrograms":
        raise ValueError(f"data=spectrograms holds no sound, which {extractor.name} needs; give recordings")
    extractor.check()


def extract_features(
    prepared: PreparedRecordings,
    datasets: Mapping[str, SegmentDataset],
    windows: Mapping[str, int],
    extractor: FeatureExtractor,
    segment_hop_s: float,
    mel: MelParams,
    features_dir: Path,
    workers: int,
) -> dict[str, FeatureDataset]:
    """Features of the same segments in the same splits, with a progress bar; `windows` counts those of a recording."""
    with progress_bar() as bar:
        task = bar.add_task(f"features of {extractor.name}", total=len(prepared.recordings))
        features = cache_features(
            prepared.recordings,
            prepared.mels,
            windows,
            extractor,
            segment_hop_s,
            features_dir,
            workers,
            lambda: bar.advance(task),
        )
    frames_per_window = segment_hop_s * mel.frames_per_s
    return {split: FeatureDataset(dataset, features, frames_per_window) for split, dataset in datasets.items()}
