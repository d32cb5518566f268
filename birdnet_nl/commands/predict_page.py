"""Page of `birdnet-nl predict --format html`: one file with spectrograms, types, probability curves and players.

The page needs no other file and no network. Sound and images are limited in total, so that it opens with hundreds of
recordings; the table lists every segment.
"""

import base64
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from birdnet_nl.audio.decode import mono_blocks
from birdnet_nl.audio.encode import encode_mp3
from birdnet_nl.audio.spectrogram_image import MAX_HZ, spectrogram_png
from birdnet_nl.commands.output import render_page
from birdnet_nl.commands.predict_page_totals import MAX_ROWS, PageRecording, PageTotals, is_certain, printable_name
from birdnet_nl.prediction.rows import DUTCH
from birdnet_nl.recordings.type_colours import type_colours
from birdnet_nl.util.errors import DataError

EXCERPT_S = 60.0  # a longer recording is shown by its most confident excerpts
MANY_EXCERPT_S = 15.0  # the same on a page with many recordings
MANY = 100  # recordings
EXCERPTS = 4  # of a longer recording; half as many on a page with many recordings
SOUND_BUDGET_S = 45 * 60.0  # of all players together; later excerpts have an image and no sound
MAX_RECORDINGS = 1_000  # with a section of their own
IMAGE_WIDTH = 700
COLOURS = {"song": "var(--song)", "call": "var(--call)", "alarm": "var(--alarm)"}  # others in dark mode
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


def predict_page(
    recordings: Iterable[PageRecording],
    failed: Sequence[tuple[str, str]] = (),
    language: str = "en",
    on_progress: Callable[[], None] = lambda: None,
) -> str:
    """Render the page; `failed` gives name and reason of files without a prediction.

    `recordings` are read once, and only the first MAX_RECORDINGS are kept, so that an iterator of any length needs the
    same memory. `on_progress` is called for each recording that is shown.
    """
    words = WORDS.get(language, {})
    words = DUTCH | words if language == "nl" else words
    totals, shown = PageTotals(), []
    for recording in recordings:
        totals.add(recording)
        if len(shown) < MAX_RECORDINGS:
            shown.append(recording)
    types = totals.types
    return render_page(
        "predict",
        title="birdnet_nl",
        language=language,
        word=lambda text: words.get(text, text),
        colours=type_colours(types) | {name: colour for name, colour in COLOURS.items() if name in types},
        tiles=[(value, words.get(label, label)) for value, label in totals.tiles(len(failed))],
        by_species=totals.by_species(),
        by_hour=totals.by_hour(),
        sections=_sections(shown, on_progress),
        not_shown=totals.recordings - len(shown),
        rows=totals.rows,
        table_recordings=totals.table_recordings,
        type_words={name: words.get(name, name) for name in [*types, "silent"]},
        max_rows=MAX_ROWS,
        failed=failed,
        synthetic=totals.synthetic,
        models=sorted(totals.models),
        max_khz=MAX_HZ / 1000,
    )


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
        "name": printable_name(recording.path),
        "species": recording.species,
        "recorded_at": recording.recorded_at.strftime("%Y-%m-%d %H:%M:%S") if recording.recorded_at else "",
        "duration_s": recording.duration_s,
        "type": recording.types[best],
        "probability": float(recording.recording[best]),
        "certain": bool(is_certain(recording, recording.recording[None])[0]),
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
    certain = is_certain(recording, recording.probabilities)
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
