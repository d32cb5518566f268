"""Overviews as one page that needs nothing from anywhere: pictures, sounds and style are inside."""

import base64
from collections import Counter
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from birdnet_nl.commands.data_page_style import SCRIPT, STYLE
from birdnet_nl.commands.data_report import VERDICTS, kinds, next_download, people, training_command
from birdnet_nl.data.overview import InspectedRecording, SpeciesOverview, licence_name
from birdnet_nl.data.splits import SPLITS
from birdnet_nl.data.training_rules import TrainingRules
from birdnet_nl.evaluation import recording_plots as figures
from birdnet_nl.evaluation.recording_examples import Example, choose_examples, make_example, ticks
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import DataError

MAX_SECTIONS = 12  # species with a section of their own; beyond that a table and pictures of all together
EXAMPLES_PER_TYPE = 2  # when the page is about one species, else 1


def page_of(
    overviews: Sequence[SpeciesOverview],
    without: Sequence[Species],
    rules: TrainingRules,
    root: Path,
    on_progress: Callable[[], None] = lambda: None,
) -> str:
    """The whole page; `on_progress` is called for each species."""
    many = len(overviews) > 1
    title = "Recordings" if many else f"{overviews[0].species.dutch}: recordings"
    parts = [_all_species(overviews, without, rules)] if many else []
    if len(overviews) <= MAX_SECTIONS:
        for overview in overviews:
            parts.append(_species(overview, rules, root, 1 if many else EXAMPLES_PER_TYPE, "h2" if many else "h1"))
            on_progress()
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n'
        f"<body>\n{''.join(parts)}\n{_footer(rules)}\n<script>{SCRIPT}</script></body></html>\n"
    )


def _all_species(overviews: Sequence[SpeciesOverview], without: Sequence[Species], rules: TrainingRules) -> str:
    recordings = [one for overview in overviews for one in overview.recordings]
    trains = sum(not overview.problem for overview in overviews)
    tiles = [
        (len(recordings), "recordings"),
        (f"{sum(one.facts.duration_s for one in recordings) / 60:.0f}", "minutes"),
        (len(overviews), "species with recordings"),
        (len(without), "species without"),
        (trains, "can be trained"),
    ]
    linked = len(overviews) <= MAX_SECTIONS
    rows = []
    for one in sorted(overviews, key=lambda one: (-len(one.recordings), one.species.slug)):
        name = escape(one.species.dutch)
        cells = [f'<a href="#{one.species.slug}">{name}</a>' if linked else name, len(one.recordings)]
        cells += [f'<span class="{kind.verdict}">{kind.usable}</span>' for kind in one.types.values()]
        counts = kinds(one)
        cells += [counts["several"] or "", counts["other"] + counts["unknown"] or "", f"{one.duration_s / 60:.1f}"]
        cells += [sum(kind.segments for kind in one.types.values()), len(one.recordists)]
        trained = ", ".join(name for name, kind in one.types.items() if not kind.why_not)
        cells.append('<span class="no">no</span>' if one.problem else f'<span class="yes">{trained}</span>')
        rows.append(cells)
    heads = ("species", "found", *rules.types, "several", "other", "minutes", "segments", "recordists", "trains")
    return (
        "<h1>What there is to train on</h1>"
        + _tiles(tiles)
        + _pictures(recordings)
        + f'<div class="card scroll">{_table(heads, rows)}</div>'
        + '<p class="soft">Counts per type are usable recordings; '
        + "; ".join(f'<span class="{verdict}">{words}</span>' for verdict, words in VERDICTS.items())
        + " says whether they suffice.</p>"
    )


def _species(overview: SpeciesOverview, rules: TrainingRules, root: Path, per_type: int, heading: str) -> str:
    species = overview.species
    tiles = [
        (len(overview.recordings), "recordings"),
        (f"{overview.duration_s / 60:.1f}", "minutes"),
        (sum(kind.segments for kind in overview.types.values()), f"segments of {rules.segment_s:g} s"),
        (len(overview.recordists), "recordists known"),
    ]
    verdict = (
        f'<span class="no">Cannot be trained yet:</span> {escape(overview.problem)}'
        if overview.problem
        else f'<span class="yes">Trains:</span> <code>{escape(training_command(overview, rules, root))}</code>'
    )
    command = next_download(overview, rules, root)
    inspected = list(overview.recordings)
    return (
        f'<{heading} id="{species.slug}">{escape(species.dutch)}</{heading}>'
        f'<p class="soft">{escape(species.english)} · <em>{escape(species.scientific)}</em></p>'
        + ('<p class="note">Synthetic demo recordings: nothing here says anything about birds.</p>'
           if overview.synthetic else "")
        + _tiles(tiles)
        + f"<p>{verdict}</p>"
        + (f"<p>To get more: <code>{escape(command)}</code></p>" if command else "")
        + f'<div class="grid"><div class="card wide scroll">{_types_table(overview)}</div></div>'
        + _problems(overview)
        + _pictures(inspected)
        + _examples(choose_examples(inspected, per_type))
        + _licences(overview)
    )  # fmt: skip


def _types_table(overview: SpeciesOverview) -> str:
    rows = []
    for name, one in overview.types.items():
        words = VERDICTS[one.verdict] + (f": {one.why_not}" if one.why_not else "")
        rows.append(
            [f'<span class="chip" style="background:var(--{name})"></span>{name}',
             one.found, one.usable, people(one), f"{one.duration_s / 60:.1f}", one.segments,
             *(one.splits[split] for split in SPLITS),
             f'<span class="{one.verdict}">{escape(words)}</span>']
        )  # fmt: skip
    heads = ("type", "found", "usable", "recordists", "minutes", "segments", *SPLITS, "suffices")
    return _table(heads, rows)


def _problems(overview: SpeciesOverview) -> str:
    lines = dict(overview.problems())
    if overview.unclear:
        lines["of several or unclear types, never tested on"] = [
            f"{text} {count}" for text, count in overview.unclear.most_common()
        ]
    if not lines:
        return ""
    items = "".join(
        f"<details><summary>{len(names)} × {escape(kind)}</summary>"
        f'<p class="soft">{escape(", ".join(names))}</p></details>'
        for kind, names in lines.items()
    )
    return f'<div class="card"><h3>Worth knowing</h3>{items}</div>'


def _pictures(recordings: Sequence[InspectedRecording]) -> str:
    drawings = {
        "types by quality": figures.draw_qualities,
        "durations": figures.draw_durations,
        "months": figures.draw_months,
        "recordists": figures.draw_recordists,
        "places": figures.draw_places,
    }
    cards = []
    for title, draw in drawings.items():
        figure = draw(recordings)
        if figure is not None:
            wide = " wide scroll" if draw is figures.draw_places else ""
            cards.append(f'<div class="card{wide}"><h3>{title}</h3>{figures.to_svg(figure)}</div>')
    present = Counter(figures.kind_of(one) for one in recordings)
    legend = "".join(
        f'<span><i class="chip" style="background:{colour}"></i>{kind} {present[kind]}</span>'
        for kind, colour in figures.KIND_COLOURS.items()
        if present[kind]
    )
    return f'<p class="legend">{legend}</p><div class="grid">{"".join(cards)}</div>'


def _examples(chosen: Sequence[InspectedRecording]) -> str:
    cards = []
    for one in chosen:
        try:
            cards.append(_example(make_example(one)))
        except DataError as error:  # removed or changed since it was looked at
            cards.append(
                f'<div class="card example"><p>{escape(one.recording.path.name)} {escape(str(error))}</p></div>'
            )
    return f'<div class="grid">{"".join(cards)}</div>' if cards else ""


def _example(example: Example) -> str:
    recording = example.inspected.recording
    kind = figures.kind_of(example.inspected)
    number = recording.id.removeprefix("XC")
    on_xeno_canto = number.isdecimal() and "synthetic" not in recording.licence
    name = f'<a href="https://xeno-canto.org/{number}">{recording.id}</a>' if on_xeno_canto else escape(recording.id)
    credit = f"{escape(recording.recordist) or 'unknown recordist'} · {_licence(recording.licence)}"
    scale = "".join(f'<span style="bottom:{100 * height:.1f}%">{khz}</span>' for khz, height in ticks())
    sound = (
        f'<audio controls preload="none" src="data:audio/wav;base64,{_encoded(example.wav)}"></audio>'
        if example.wav
        else '<p class="soft">No sound here: this licence (ND) allows no excerpts.</p>'
    )
    return (
        f'<div class="card example"><p><span class="chip" style="background:{figures.KIND_COLOURS[kind]}"></span>'
        f'<b>{escape(kind)}</b> {name} <span class="soft">{example.duration_s:.1f} s from {example.start_s:.1f} s, '
        f"kHz; below the activity</span></p>"
        f'<div class="mel">{scale}<img alt="mel of {escape(recording.id)}" '
        f'src="data:image/png;base64,{_encoded(example.mel_png)}"><i></i></div>{_activity(example)}{sound}'
        f'<p class="soft">{credit}</p></div>'
    )


def _activity(example: Example) -> str:
    """A line below the mel: how active each moment is, beside the most active one of the recording."""
    last = max(1, len(example.activity) - 1)
    line = " ".join(f"{place / last:.3f},{1 - height:.3f}" for place, height in enumerate(example.activity))
    return (
        '<svg class="activity" viewBox="0 0 1 1" preserveAspectRatio="none" role="img">'
        f'<title>activity: training prefers crops where it is high</title><polygon points="0,1 {line} 1,1"/></svg>'
    )


def _licence(text: str) -> str:
    name = escape(licence_name(text)) if text else "unknown licence"
    return f'<a href="{escape(text)}">{name}</a>' if text.startswith(("https://", "http://")) else name


def _licences(overview: SpeciesOverview) -> str:
    counts = ", ".join(f"{escape(name)} {count}" for name, count in overview.licences.items())
    return f'<p class="soft">Licences: {counts}</p>'


def _footer(rules: TrainingRules) -> str:
    shares = ", ".join(f"{split} {share:.0%}" for split, share in rules.shares.items())
    return (
        f'<p class="soft">Splits as training makes them with seed {rules.seed}: {shares}, recordists kept apart. A '
        f"type suffices with about {rules.wanted} usable recordings and needs at least {rules.min_recordings}.</p>"
    )


def _tiles(tiles: Sequence[tuple[object, str]]) -> str:
    return f'<div class="tiles">{"".join(f"<div class=tile><b>{a}</b><span>{b}</span></div>" for a, b in tiles)}</div>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    left = {len(heads) - 1}
    mark = [' class="left"' if index in left else "" for index in range(len(heads))]
    head = "".join(f"<th{mark[i]}>{name}</th>" for i, name in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(f"<td{mark[i]}>{cell}</td>" for i, cell in enumerate(row)) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
