"""Evaluation on clips, as stations cut them: the most active stretch of a recording, with the front end of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib

from birdnet_nl.audio.activity import activity_of, window_activity
from birdnet_nl.audio.cache import CachedMel, cache_mels
from birdnet_nl.audio.decode import decode
from birdnet_nl.audio.encode import encode_wav
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.evaluation.evaluate import evaluate_calibrated
from birdnet_nl.evaluation.sources import song_against_call
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.predict import predict
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.console import progress_bar
from birdnet_nl.util.files import atomic_path

CLIP_RATE_HZ = 48_000  # of stations
MAX_CLIP_S = 600.0
CLIPS = "clips"  # folder in the cache


def parse_clip_lengths(text: str) -> list[float]:
    """Parse lengths in seconds, such as `6` or `15,6`; raises `ValueError`."""
    lengths = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            length = float(part)
        except ValueError:
            length = float("nan")
        if not 0 < length <= MAX_CLIP_S:
            raise ValueError(f"--clip-s {part} must be a length in seconds, above 0 and at most {MAX_CLIP_S:g}")
        lengths.append(length)
    return list(dict.fromkeys(lengths))


def most_active_start_s(mel: CachedMel, params: MelParams, clip_s: float) -> float:
    """Return the start of the stretch of `clip_s` seconds with the highest mean activity; 0 for a shorter recording."""
    windows = window_activity(activity_of(mel, params), round(clip_s * params.frames_per_s))
    return float(windows.argmax() / params.frames_per_s)


def cut_clip(recording: Recording, mel: CachedMel, params: MelParams, clip_s: float, cache_dir: Path) -> Recording:
    """Return the recording with the file of its clip, a WAV of 48 kHz; one that is not longer is returned as it is."""
    if mel.frames <= clip_s * params.frames_per_s:
        return recording
    start_s = most_active_start_s(mel, params, clip_s)
    target = cache_dir / CLIPS / f"{mel.content}-{start_s:.2f}-{clip_s:g}s.wav"
    if not target.is_file():
        samples, first = decode(recording.path, CLIP_RATE_HZ), round(start_s * CLIP_RATE_HZ)
        clip = samples[first : first + round(clip_s * CLIP_RATE_HZ)]
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target, sync=False) as beside, beside.open("wb") as file:
            file.write(encode_wav(clip, CLIP_RATE_HZ))
    return replace(recording, path=target)


def evaluate_clips(
    classifier: Classifier,
    recordings: Sequence[Recording],
    mels: Mapping[str, CachedMel],
    clip_s: float,
    cache_dir: Path,
) -> dict[str, Any]:
    """Evaluate on a clip of each recording: `results`, `calibration` and `decision` as in `metrics.json`.

    Mels and embeddings are computed from the clip alone, so that the noise of a band is what a station could know.
    """
    workers = joblib.cpu_count()
    with progress_bar() as bar:
        task = bar.add_task(f"cutting clips of {clip_s:g} s", total=len(recordings))

        def cut(recording: Recording) -> Recording:
            clip = cut_clip(recording, mels[recording.id], classifier.mel, clip_s, cache_dir)
            bar.advance(task)
            return clip

        clips = joblib.Parallel(workers, backend="threading")(joblib.delayed(cut)(item) for item in recordings)
    clip_mels, unusable = cache_mels(clips, classifier.mel, cache_dir / "mel", workers)
    test = predict(classifier, clips, clip_mels, cache_dir).predictions
    by_id = {clip.id: clip for clip in clips}
    evaluation = evaluate_calibrated(
        classifier.calibration,
        classifier.threshold,
        classifier.target_accuracy,
        test,
        [by_id[id] for id in test.recording_ids],
        classifier.types,
    )
    whole = sum(clip.path == recording.path for clip, recording in zip(clips, recordings, strict=True))
    return {
        "clip_s": clip_s,
        "shorter": whole,
        "unusable": {str(file.path): file.reason for file in unusable},
        **evaluation.report,
        "song_against_call": song_against_call(evaluation.probabilities, evaluation.true_types, classifier.types),
    }
