"""An overview in other words: as plain values for JSON, and as the next command to type."""

import math
import os
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from birdnet_nl.data.overview import InspectedRecording, SpeciesOverview, TypeOverview
from birdnet_nl.data.sources import DEFAULT_ROOT
from birdnet_nl.data.training_rules import TrainingRules
from birdnet_nl.recordings.choice import Filters

STANDARD = Filters()
VERDICTS = {"yes": "yes", "just": "enough to train, few to test on", "no": "no"}


def next_download(overview: SpeciesOverview, rules: TrainingRules, root: Path) -> str:
    """The command that fetches what is wanting, ready to be typed; empty when every type suffices."""
    wanting = [name for name, one in overview.types.items() if one.verdict != "yes"]
    if not wanting:
        return ""
    words = ["birdnet-nl", "download", overview.species.slug]
    if len(wanting) < len(STANDARD.types):
        words += [word for name in wanting for word in ("--type", name)]
    # --per-type counts what is on disk, and a few of those fetched turn out to be bad or by the same people
    needed = max(one.found + max(rules.wanted - one.usable, rules.min_recordings)
                 for name, one in overview.types.items() if name in wanting)  # fmt: skip
    if needed > STANDARD.per_type:
        words += ["--per-type", str(math.ceil(needed / 10) * 10)]
    if rules.flight_call != STANDARD.flight_call:
        words += ["--flight-call", rules.flight_call]
    if root != DEFAULT_ROOT:
        words += ["--root", str(root)]
    return shlex.join(words)


def training_command(overview: SpeciesOverview, rules: TrainingRules, root: Path) -> str:
    """The command that trains on just these recordings, ready to be typed."""
    words = ["python", "train.py", f"species={overview.species.slug}"]
    if root != DEFAULT_ROOT:
        words.append(f"data.root={root}")
    if rules.flight_call != STANDARD.flight_call:
        words.append(f"data.flight_call={rules.flight_call}")
    return shlex.join(words)


def kinds(overview: SpeciesOverview) -> Counter[str]:
    """Recordings per kind: song, call, alarm, several, other, unknown."""
    return Counter(one.kind for one in overview.recordings)


def people(one: TypeOverview) -> str:
    return f"{one.recordists} + {one.unnamed} unnamed" if one.unnamed else str(one.recordists)


def as_values(overview: SpeciesOverview, rules: TrainingRules, root: Path) -> dict[str, Any]:
    """Everything there is to say of a species, down to the single file, in types that JSON knows."""
    return {
        "slug": overview.species.slug,
        "dutch": overview.species.dutch,
        "english": overview.species.english,
        "scientific": overview.species.scientific,
        "synthetic": overview.synthetic,
        "folders": [os.fspath(folder) for folder in overview.folders],
        "recordings": len(overview.recordings),
        "duration_s": round(overview.duration_s, 1),
        "kinds": dict(kinds(overview)),
        "unclear": dict(overview.unclear),
        "types": {name: {**asdict(one), "verdict": one.verdict} for name, one in overview.types.items()},
        "trainable": not overview.problem,
        "problem": overview.problem,
        "quality": dict(overview.count("quality", "none")),
        "recordists": dict(overview.recordists),
        "countries": dict(overview.count("country")),
        "licences": dict(overview.licences),
        "problems": overview.problems(),
        "next_download": next_download(overview, rules, root),
        "files": [_file_values(one) for one in overview.recordings],
    }


def _file_values(one: InspectedRecording) -> dict[str, Any]:
    values = asdict(one.recording) | {"path": os.fspath(one.recording.path)}
    for said in ("duration_s", "sample_rate_hz"):  # the manifest's word; the facts below were measured
        values[f"manifest_{said}"] = values.pop(said)
    values |= {"kind": one.kind, "split": one.split, "segments": one.segments, "left_out": one.left_out}
    values |= {"duplicate_of": one.duplicate_of, "oddities": list(one.oddities)}
    return values | asdict(one.facts)


def all_values(
    overviews: Sequence[SpeciesOverview], without: Sequence[str], rules: TrainingRules, root: Path
) -> dict[str, Any]:
    return {
        "root": os.fspath(root),
        "rules": {**asdict(rules), "recordings_wanted_per_type": rules.wanted},
        "species": [as_values(one, rules, root) for one in overviews],
        "without_recordings": list(without),
    }
