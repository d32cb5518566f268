"""Page of `birdnet-nl data --html`: tables, plots and example sounds in one file that needs no network."""

import base64
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from birdnet_nl.commands.data_tables import (
    VERDICTS,
    count_kinds,
    download_command,
    format_recordists,
    most_recordings_first,
    training_command,
)
from birdnet_nl.commands.output import render_page
from birdnet_nl.data.overview import NOT_SEARCHED, InspectedRecording, SpeciesOverview, licence_name
from birdnet_nl.data.splits import SPLITS
from birdnet_nl.data.training_rules import TrainingRules
from birdnet_nl.evaluation import recording_plots as plots
from birdnet_nl.evaluation.examples import choose_examples, make_example, ticks
from birdnet_nl.recordings.type_colours import type_colour
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import DataError

MAX_SECTIONS = 12  # species with a section of their own; with more species a table and plots of all together
EXAMPLES_PER_TYPE = 2  # on a page about one species, else 1
PLOTS = {
    "types by quality": plots.draw_qualities,
    "durations": plots.draw_durations,
    "months": plots.draw_months,
    "recordists": plots.draw_recordists,
    "places": plots.draw_places,
}


def data_page(
    overviews: Sequence[SpeciesOverview],
    without: Sequence[Species],
    rules: TrainingRules,
    root: Path,
    on_progress: Callable[[], None],
    curves: Mapping[str, dict[str, Any]],
) -> str:
    """Render the page; `on_progress` is called for each species, `curves` are its learning curves by slug."""
    many = len(overviews) > 1
    sections = []
    if len(overviews) <= MAX_SECTIONS:
        for overview in overviews:
            section = _species_section(overview, rules, root, 1 if many else EXAMPLES_PER_TYPE)
            sections.append(section | {"curve": curves.get(overview.species.slug)})
            on_progress()
    return render_page(
        "data",
        title="Recordings" if many else f"{overviews[0].species.dutch}: recordings",
        summary=_summary(overviews, without) if many else None,
        sections=sections,
        rules=rules,
        splits=SPLITS,
        verdicts=VERDICTS,
        ticks=ticks(),
        count_recordists=format_recordists,
    )


def _summary(overviews: Sequence[SpeciesOverview], without: Sequence[Species]) -> dict[str, Any]:
    """Return tiles, plots and a table row for each species, most recordings first."""
    recordings = [item for overview in overviews for item in overview.recordings]
    rows = []
    for overview in most_recordings_first(overviews):
        counts, types = count_kinds(overview), overview.types
        rows.append({
            "slug": overview.species.slug,
            "dutch": overview.species.dutch,
            "found": len(overview.recordings),
            "types": list(types.values()),
            "cells": [counts["several"] or "", counts["other"] + counts["unknown"] or "",
                      f"{overview.duration_s / 60:.1f}", sum(type_.segments for type_ in types.values()),
                      len(overview.recordists)],
            "trains": "" if overview.problem else ", ".join(name for name in types if not types[name].why_not),
        })  # fmt: skip
    tiles = [
        (len(recordings), "recordings"),
        (f"{sum(item.facts.duration_s for item in recordings) / 60:.0f}", "minutes"),
        (len(overviews), "species with recordings"),
        (len(without), "species without"),
        (sum(not overview.problem for overview in overviews), "can be trained"),
    ]
    return {"tiles": tiles, "rows": rows, "legend": _legend(recordings), "plots": _draw_plots(recordings)}


def _species_section(overview: SpeciesOverview, rules: TrainingRules, root: Path, per_type: int) -> dict[str, Any]:
    notes = dict(overview.problems())
    if overview.not_understood:
        notes["type texts not understood"] = [f"{text} {count}" for text, count in overview.not_understood.items()]
    if overview.unclear:
        notes["of several or unclear types, never tested on"] = [
            f"{text} {count}" for text, count in overview.unclear.most_common()
        ]
    return {
        "overview": overview,
        "tiles": [
            (len(overview.recordings), "recordings"),
            (f"{overview.duration_s / 60:.1f}", "minutes"),
            (sum(type_.segments for type_ in overview.types.values()), f"segments of {rules.segment_s:g} s"),
            (len(overview.recordists), "recordists known"),
        ],
        "training_command": training_command(overview, rules, root),
        "download_command": download_command(overview, rules, root),
        "notes": notes,
        "files": f"{overview.files.line()}; {NOT_SEARCHED}",
        "legend": _legend(overview.recordings),
        "plots": _draw_plots(overview.recordings),
        "examples": [_example(item) for item in choose_examples(overview.recordings, per_type)],
    }


def _draw_plots(recordings: Sequence[InspectedRecording]) -> list[dict[str, Any]]:
    return [
        {"title": title, "svg": plots.to_svg(figure), "wide": title == "places"}
        for title, draw in PLOTS.items()
        if (figure := draw(recordings)) is not None
    ]


def _legend(recordings: Sequence[InspectedRecording]) -> dict[str, str]:
    """Return the colour by kind of recording, with its count, for the kinds that occur."""
    counts = Counter(plots.kind_of(item) for item in recordings)
    return {f"{kind} {counts[kind]}": colour for kind, colour in plots.kind_colours(recordings).items()}


def _example(item: InspectedRecording) -> dict[str, Any]:
    try:
        example = make_example(item)
    except DataError as error:  # removed or changed since it was inspected
        return {"problem": f"{item.recording.path.name} {error}"}
    recording, kind = item.recording, plots.kind_of(item)
    number = recording.id.removeprefix("XC")
    on_xeno_canto = number.isdecimal() and "synthetic" not in recording.licence
    last = max(1, len(example.activity) - 1)
    outline = " ".join(f"{place / last:.3f},{1 - height:.3f}" for place, height in enumerate(example.activity))
    return {
        "problem": "",
        "id": recording.id,
        "link": f"https://xeno-canto.org/{number}" if on_xeno_canto else "",
        "kind": kind,
        "colour": type_colour(kind),
        "start_s": example.start_s,
        "duration_s": example.duration_s,
        "mel_png": base64.b64encode(example.mel_png).decode(),
        "wav": base64.b64encode(example.wav).decode(),
        "activity_points": f"0,1 {outline} 1,1",  # relative to the most active moment of the recording
        "recordist": recording.recordist,
        "licence": licence_name(recording.licence) if recording.licence else "unknown licence",
        "licence_link": recording.licence if recording.licence.startswith(("https://", "http://")) else "",
    }
