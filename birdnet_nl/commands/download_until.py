"""`birdnet-nl download --until usable`: what each species still needs, and the plan with its reasons."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from birdnet_nl.data.training_rules import TrainingRules
from birdnet_nl.recordings.download_filters import Filters
from birdnet_nl.recordings.library import find_folders, read_species
from birdnet_nl.species.table import Species
from birdnet_nl.util.words import counted

if TYPE_CHECKING:
    from birdnet_nl.comparison.curve_points import LearningCurve
    from birdnet_nl.comparison.download_needs import Need
    from birdnet_nl.recordings.download_plan import Plan, SpeciesPlan

CHOICES = ("usable",)


@dataclass(frozen=True)
class SpeciesNeed:
    """Recordings of a species on disk by type, its latest learning curve, and what it needs."""

    on_disk: Mapping[str, int]
    curve: "LearningCurve | None"
    need: "Need"


def find_needs(
    species: Sequence[Species], root: Path, logs: Path, filters: Filters, per_type: int | None
) -> dict[str, SpeciesNeed]:
    """Return the needs by slug, from the recordings in `root` and the newest curves in `logs`."""
    from birdnet_nl.comparison.curve_files import latest_curves
    from birdnet_nl.comparison.download_needs import find_need

    rules = TrainingRules(flight_call=filters.flight_call)
    folders = find_folders(root) if root.is_dir() else {}
    curves = latest_curves(logs)
    needs = {}
    for member in species:
        recordings = read_species(folders.get(member, []), member, rules.type_set).recordings
        counts = Counter(recording.vocalization_type for recording in recordings)
        on_disk = {name: counts[name] for name in filters.types}
        curve, _ = curves.get(member.slug, (None, None))
        need = find_need(on_disk, curve, rules.recommended_recordings, per_type)
        needs[member.slug] = SpeciesNeed(on_disk, curve, need)
    return needs


def print_needs(out: Console, plan: "Plan", needs: Mapping[str, SpeciesNeed]) -> None:
    """Print a line per species: reason, numbers by type in the order of fetching, and the accuracy afterwards."""
    for part in plan.parts:
        out.print(escape(describe(part, needs[part.species.slug])), soft_wrap=True)


def describe(part: "SpeciesPlan", item: SpeciesNeed) -> str:
    from birdnet_nl.comparison.download_needs import expectation

    clauses = [item.need.reason]
    if item.need.fetch:
        numbers = [f"{name} {part.count(name)} of {wanted} wanted" for name, wanted in item.need.fetch.items()]
        clauses.append(f"to fetch, rarest first: {', '.join(numbers)}")
        known = {candidate.row["recordist"] for candidate in part.chosen} - part.recordists_on_disk
        clauses.append(counted(len(known), "new recordist"))
    if expected := expectation(item.curve, sum(item.on_disk.values()), len(part.chosen)):
        clauses.append(expected)
    return f"{part.species.slug}: {'; '.join(clauses)}"
