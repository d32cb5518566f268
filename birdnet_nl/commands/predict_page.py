"""Page of `birdnet-nl predict --format html`: one file with spectrograms, types, probability curves and players.

The page needs no other file and no network. Sound and images are limited in total, so that it opens with hundreds of
recordings; the table lists every segment.
"""

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from birdnet_nl.audio.decode import mono_blocks
from birdnet_nl.audio.encode import encode_mp3
from birdnet_nl.audio.spectrogram_image import MAX_HZ, spectrogram_png
from birdnet_nl.commands.output import render_page
from birdnet_nl.util.errors import DataError

EXCERPT_S = 60.0  # a longer recording is shown by its most confident excerpts
MANY_EXCERPT_S = 15.0  # the same on a page with many recordings
MANY = 100  # recordings
EXCERPTS = 4  # of a longer recording; half as many on a page with many recordings
SOUND_BUDGET_S = 45 * 60.0  # of all players together; later excerpts have an image and no sound
MAX_ROWS = 20_000  # of the table of segments
MAX_RECORDINGS = 1_000  # with a section of their own
IMAGE_WIDTH = 700
COLOURS = {"song": "var(--song)", "call": "var(--call)", "alarm": "var(--alarm)"}
OTHER_COLOURS = ("#c8963e", "#8d6cab", "#4aa3a2", "#b5651d", "#7a7a80")
WORDS = {
    "nl": {
        "song": "zang", "call": "roep", "alarm": "alarm", "recordings": "opnamen", "segments": "segmenten",
        "uncertain": "onzeker", "species": "soort", "by species": "per soort", "by hour": "per uur van de dag",
        "file": "bestand", "from": "van", "to": "tot", "type": "type", "confidence": "zekerheid", "date": "datum",
        "all species": "alle soorten", "all types": "alle typen", "search file": "zoek bestand",
        "min confidence": "zekerheid vanaf", "hide uncertain": "verberg onzekere", "minutes": "minuten",
        "silent": "stil", "failed": "mislukt", "All segments": "Alle segmenten", "Recordings": "Opnamen",
        "shown": "getoond", "show more": "toon meer", "whole recording": "hele opname", "not used": "niet gebruikt",
    }
}  # fmt: skip


@dataclass(frozen=True)
class PageRecording:
    """Predictions of one file as the page shows them.

    Attributes:
        types: names of the types, in the order of the columns of `probabilities`.
        starts_s, ends_s: of the segments in seconds, [segments].
        probabilities: of the segments, [segments, types].
        recording: probabilities of the whole recording, [types].
        silent: segments of digital silence, bool [segments].
        threshold: a smaller probability is uncertain; None where every prediction is.
    """

    path: Path
    species: str
    types: Sequence[str]
    starts_s: np.ndarray
    ends_s: np.ndarray
    probabilities: np.ndarray
    recording: np.ndarray
    silent: np.ndarray
    duration_s: float
    threshold: float | None
    model: str
    recorded_at: datetime | None = None
    warning: str = ""
    synthetic: bool = False  # the model was trained on demo recordings


def predict_page(
    recordings: Sequence[PageRecording],
    failed: Sequence[tuple[str, str]] = (),
    language: str = "en",
    on_progress: Callable[[], None] = lambda: None,
) -> str:
    """Render the page; `failed` gives name and reason of files without a prediction.

    `on_progress` is called for each recording.
    """
    words = WORDS.get(language, {})
    types = list(dict.fromkeys(name for recording in recordings for name in recording.types))
    shown = recordings[:MAX_RECORDINGS]
    sections = _sections(shown, on_progress)
    return render_page(
        "predict",
        title="birdnet_nl",
        language=language,
        word=lambda text: words.get(text, text),
        colours=dict(zip(types, map(_colour, types, range(len(types))), strict=True)),
        tiles=_tiles(recordings, failed, words),
        by_species=_by_species(recordings, types),
        by_hour=_by_hour(recordings, types),
        sections=sections,
        not_shown=len(recordings) - len(shown),
        rows=_rows(recordings),
        table_recordings=[
            [_name(recording.path), recording.species, f"{recording.recorded_at or ''}"] for recording in recordings
        ],
        type_words={name: words.get(name, name) for name in [*types, "silent"]},
        max_rows=MAX_ROWS,
        failed=failed,
        synthetic=any(recording.synthetic for recording in recordings),
        models=sorted({recording.model for recording in recordings}),
        max_khz=MAX_HZ / 1000,
    )


def _name(path: Path) -> str:
    """Return the file's name with bytes that are not UTF-8 replaced."""
    return path.name.encode("utf-8", "replace").decode()


def _colour(name: str, index: int) -> str:
    return COLOURS.get(name, OTHER_COLOURS[index % len(OTHER_COLOURS)])


def _is_certain(recording: PageRecording, probabilities: np.ndarray) -> np.ndarray:
    """Return the mask of certain predictions among `probabilities` [items, types]."""
    if recording.threshold is None:
        return np.zeros(len(probabilities), dtype=bool)
    return probabilities.max(axis=1) >= recording.threshold


def _tiles(recordings: Sequence[PageRecording], failed: Sequence, words: dict[str, str]) -> list[tuple[Any, str]]:
    segments = sum(len(recording.starts_s) for recording in recordings)
    minutes = sum(recording.duration_s for recording in recordings) / 60
    tiles = [(len(recordings), "recordings"), (f"{minutes:.1f}", "minutes"), (segments, "segments")]
    if failed:
        tiles.append((len(failed), "failed"))
    return [(value, words.get(label, label)) for value, label in tiles]


def _count_types(recordings: Iterable[PageRecording], types: Sequence[str]) -> list[int]:
    """Count the segments of each type, without silent and uncertain ones; then the uncertain ones."""
    counts: Counter[str] = Counter()
    for recording in recordings:
        certain, best = _is_certain(recording, recording.probabilities), recording.probabilities.argmax(axis=1)
        for index, name in enumerate(recording.types):
            counts[name] += int((certain & ~recording.silent & (best == index)).sum())
        counts["uncertain"] += int((~certain & ~recording.silent).sum())
    return [counts[name] for name in [*types, "uncertain"]]


def _by_species(recordings: Sequence[PageRecording], types: Sequence[str]) -> list[tuple[str, int, list[int]]]:
    of_species: dict[str, list[PageRecording]] = {}
    for recording in recordings:
        of_species.setdefault(recording.species, []).append(recording)
    return [(name, len(own), _count_types(own, types)) for name, own in sorted(of_species.items())]


def _by_hour(recordings: Sequence[PageRecording], types: Sequence[str]) -> list[list[int]]:
    """Count the certain segments of each type by hour of the day, [24][types]; empty where no time is known."""
    hours = np.zeros((24, len(types)), dtype=int)
    for recording in recordings:
        if recording.recorded_at is None:
            continue
        time = recording.recorded_at
        start_s = 3600 * time.hour + 60 * time.minute + time.second
        certain = _is_certain(recording, recording.probabilities) & ~recording.silent
        hour = ((start_s + recording.starts_s[certain]) // 3600 % 24).astype(int)
        columns = np.array([types.index(name) for name in recording.types])
        np.add.at(hours, (hour, columns[recording.probabilities[certain].argmax(axis=1)]), 1)
    return hours.tolist() if any(recording.recorded_at for recording in recordings) else []


def _rows(recordings: Sequence[PageRecording]) -> list[list[Any]]:
    """List the segments for the table: recording, start, end, type, probability, certain, silent."""
    rows: list[list[Any]] = []
    for number, recording in enumerate(recordings):
        certain = _is_certain(recording, recording.probabilities)
        for index in range(min(len(recording.starts_s), MAX_ROWS - len(rows))):
            probabilities = recording.probabilities[index]
            best = int(probabilities.argmax())
            rows.append([
                number, round(float(recording.starts_s[index]), 2), round(float(recording.ends_s[index]), 2),
                recording.types[best], round(float(probabilities[best]), 3), int(certain[index]),
                int(recording.silent[index]),
            ])  # fmt: skip
    return rows


def _sections(recordings: Sequence[PageRecording], on_progress: Callable[[], None]) -> list[dict[str, Any]]:
    """Describe each recording with its excerpts; the sound of the first ones, up to the budget."""
    longest_s = EXCERPT_S if len(recordings) <= MANY else MANY_EXCERPT_S
    count = EXCERPTS if len(recordings) <= MANY else EXCERPTS // 2
    planned = [_excerpts(recording, longest_s, count) for recording in recordings]
    budget_s, with_sound = SOUND_BUDGET_S, []
    for excerpts in planned:
        budget_s -= sum(end_s - start_s for start_s, end_s in excerpts)
        with_sound.append(budget_s >= 0)
    sections = []
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="page") as pool:
        for section in pool.map(_section, range(len(recordings)), recordings, planned, with_sound):
            sections.append(section)
            on_progress()
    return sections


def _excerpts(recording: PageRecording, longest_s: float, count: int) -> list[tuple[float, float]]:
    """Return start and end of the stretches to show: the whole recording, or around its most confident segments."""
    if recording.duration_s <= longest_s:
        return [(0.0, recording.duration_s)]
    excerpt_s = min(longest_s, MANY_EXCERPT_S)
    confidence = np.where(recording.silent, 0, recording.probabilities.max(axis=1))
    chosen: list[tuple[float, float]] = []
    for index in np.argsort(-confidence, kind="stable"):
        centre_s = float(recording.starts_s[index] + recording.ends_s[index]) / 2
        start_s = min(max(0.0, centre_s - excerpt_s / 2), recording.duration_s - excerpt_s)
        if all(abs(start_s - other_s) >= excerpt_s for other_s, _ in chosen):
            chosen.append((start_s, start_s + excerpt_s))
        if len(chosen) == count:
            break
    return sorted(chosen)


def _section(
    number: int, recording: PageRecording, excerpts: Sequence[tuple[float, float]], with_sound: bool
) -> dict[str, Any]:
    best = int(recording.recording.argmax())
    problem = ""
    try:
        drawn = [
            _excerpt(recording, *excerpt, samples, rate_hz, with_sound)
            for excerpt, (samples, rate_hz) in zip(excerpts, read_excerpts(recording.path, excerpts), strict=True)
        ]
    except (DataError, OSError) as error:  # moved or removed since it was predicted
        drawn, problem = [], f"{error}"
    return {
        "number": number,
        "name": _name(recording.path),
        "species": recording.species,
        "recorded_at": recording.recorded_at.strftime("%Y-%m-%d %H:%M:%S") if recording.recorded_at else "",
        "duration_s": recording.duration_s,
        "type": recording.types[best],
        "probability": float(recording.recording[best]),
        "certain": bool(_is_certain(recording, recording.recording[None])[0]),
        "probabilities": list(zip(recording.types, map(float, recording.recording), strict=True)),
        "warning": recording.warning,
        "problem": problem,
        "excerpts": drawn,
    }


def read_excerpts(path: Path, excerpts: Sequence[tuple[float, float]]) -> list[tuple[np.ndarray, int]]:
    """Read the given stretches in one pass through the file: float32 [samples] and the sample rate, for each.

    Raises `DataError` when the file cannot be decoded.
    """
    parts: list[list[np.ndarray]] = [[] for _ in excerpts]
    position, rate_hz = 0, 0
    last_s = max(end_s for _, end_s in excerpts)
    for mono, rate_hz in mono_blocks(path):
        for (start_s, end_s), part in zip(excerpts, parts, strict=True):
            start, end = round(start_s * rate_hz) - position, round(end_s * rate_hz) - position
            if end > 0 and start < len(mono):
                part.append(mono[max(0, start) : end].copy())
        position += len(mono)
        if position >= last_s * rate_hz:
            break
    if not rate_hz:
        raise DataError("contains no samples")
    return [(np.concatenate(part) if part else np.zeros(1, np.float32), rate_hz) for part in parts]


def _excerpt(
    recording: PageRecording, start_s: float, end_s: float, samples: np.ndarray, rate_hz: int, with_sound: bool
) -> dict[str, Any]:
    length_s = max(end_s - start_s, 1e-3)
    inside = np.flatnonzero((recording.ends_s > start_s) & (recording.starts_s < end_s))
    certain = _is_certain(recording, recording.probabilities)
    lane = [
        {
            "left": 100 * max(0.0, float(recording.starts_s[index] - start_s)) / length_s,
            "right": 100 * min(1.0, float(recording.ends_s[index] - start_s) / length_s),
            "type": "" if recording.silent[index] else recording.types[recording.probabilities[index].argmax()],
            "certain": bool(certain[index]),
            "text": " · ".join(
                f"{name} {100 * value:.0f} %"
                for name, value in zip(recording.types, recording.probabilities[index], strict=True)
            ),
        }
        for index in inside
    ]
    # overlapping segments share the lane: each is drawn up to the start of the next
    for own, following in pairwise(lane):
        own["right"] = max(own["left"], min(own["right"], following["left"]))
    across = 100 * ((recording.starts_s[inside] + recording.ends_s[inside]) / 2 - start_s) / length_s
    values = 100 - 100 * recording.probabilities[inside]
    if len(inside) == 1:  # a line needs two points
        across, values = np.array([0.0, 100.0]), values.repeat(2, axis=0)
    curves = {
        name: " ".join(f"{x:.2f},{y:.1f}" for x, y in zip(across, values[:, column], strict=True))
        for column, name in enumerate(recording.types)
    }
    width = int(np.clip(IMAGE_WIDTH * length_s / 10, 200, IMAGE_WIDTH))
    return {
        "start_s": start_s,
        "end_s": end_s,
        "image": base64.b64encode(spectrogram_png(samples, rate_hz, width)).decode(),
        "khz": min(MAX_HZ, rate_hz / 2) / 1000,
        "sound": base64.b64encode(encode_mp3(samples, rate_hz)).decode() if with_sound else "",
        "lane": lane,
        "curves": curves,
    }
