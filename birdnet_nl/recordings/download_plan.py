"""What a download from Xeno-canto would fetch: how many files, how large, how long."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from birdnet_nl.recordings.choice import (
    PROTECTED,
    Candidate,
    Filters,
    candidate_of,
    choose,
    reason_to_leave_out,
    scientific_names,
)
from birdnet_nl.recordings.folder import SOUND_SUFFIXES, recording_id
from birdnet_nl.recordings.labels import classify_type
from birdnet_nl.recordings.manifest import read_rows, species_folder
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.recordings.sound_file import what_is_wrong
from birdnet_nl.recordings.xeno_canto import BusyError, DownloadError, XenoCanto
from birdnet_nl.species.table import Species

BYTES_PER_S = 23_000  # mean of Xeno-canto's own mp3 files, an hour of them
ASSUMED_SPEED_BYTES_PER_S = 2_000_000


@dataclass(frozen=True)
class SpeciesPlan:
    """What to fetch for one species.

    Attributes:
        found: recordings on Xeno-canto that the queries gave.
        chosen: those to fetch, in order.
        on_disk: how many of each type are there already.
        adopted: on disk without a manifest row, say after a kill; they get one.
        left_out: how many for which reason, the protected ones among them.
        unknown_types: type texts that no rule knows.
        error: why Xeno-canto could not be asked; empty as a rule.
    """

    species: Species
    found: int = 0
    chosen: tuple[Candidate, ...] = ()
    on_disk: Counter[str] = field(default_factory=Counter)
    adopted: tuple[tuple[Candidate, Path], ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)
    unknown_types: Counter[str] = field(default_factory=Counter)
    error: str = ""

    @property
    def protected(self) -> int:
        return self.left_out[PROTECTED]

    def count(self, vocalization_type: str) -> int:
        return sum(candidate.vocalization_type == vocalization_type for candidate in self.chosen)

    @property
    def expected_bytes(self) -> int:
        return int(BYTES_PER_S * sum(candidate.length_s for candidate in self.chosen))


@dataclass(frozen=True)
class Plan:
    parts: tuple[SpeciesPlan, ...]
    delay_s: float

    @property
    def files(self) -> int:
        return sum(len(part.chosen) for part in self.parts)

    @property
    def expected_bytes(self) -> int:
        return sum(part.expected_bytes for part in self.parts)

    @property
    def expected_s(self) -> float:
        return max(self.files * self.delay_s, self.expected_bytes / ASSUMED_SPEED_BYTES_PER_S)


def queries_for(species: Species, types: Sequence[str]) -> list[str]:
    """Tag queries: one per type and scientific name; recordings of several types are found by a query for all."""
    tags = [f" type:{name}" for name in types] if set(types) <= set(VOCALIZATION_TYPES) else [""]
    return [f'sp:"{name.lower()}" grp:birds{tag}' for name in scientific_names(species) for tag in tags]


def plan_downloads(
    species: Sequence[Species],
    client: XenoCanto,
    root: Path,
    filters: Filters,
    on_species: Callable[[SpeciesPlan], None] = lambda part: None,
) -> Plan:
    """Ask Xeno-canto what there is and choose; fetches no sound and writes nothing.

    A species that Xeno-canto cannot be asked about is kept in the plan with its error, the others go on.
    """
    parts = []
    for one in species:
        try:
            part = _plan_species(one, client, root, filters)
        except BusyError:
            raise
        except DownloadError as error:
            part = SpeciesPlan(one, error=str(error))
        parts.append(part)
        on_species(part)
    return Plan(tuple(parts), client.pace.delay_s)


def _plan_species(species: Species, client: XenoCanto, root: Path, filters: Filters) -> SpeciesPlan:
    answers = {}
    for query in queries_for(species, filters.types):
        answers |= {str(answer["id"]): answer for answer in client.search(query)}
    candidates = [candidate_of(answer, species, filters.flight_call) for answer in answers.values()]
    reasons = [(candidate, reason_to_leave_out(candidate, species, filters)) for candidate in candidates]
    folder = species_folder(root, species)
    rows = [row for row in read_rows(folder) if (folder / row.get("file", "")).is_file()]
    known_ids = {row.get("xc_id", "").upper().removeprefix("XC") for row in rows}
    lacking_row = {id: path for id, path in _sounds_on_disk(folder).items() if id not in known_ids}
    adopted = tuple(
        (candidate, lacking_row[candidate.row["xc_id"]])
        for candidate, _ in reasons
        if candidate.row["xc_id"] in lacking_row
        and not what_is_wrong(lacking_row[candidate.row["xc_id"]], candidate.length_s)
    )
    have = [(classify_type(row.get("type", ""), flight_call=filters.flight_call), row) for row in rows]
    have += [(candidate.vocalization_type, candidate.row) for candidate, _ in adopted]
    have_ids = known_ids | {candidate.row["xc_id"] for candidate, _ in adopted}
    chosen: list[Candidate] = []
    for name in filters.types:
        recordists = [row.get("recordist", "") for kind, row in have if kind == name]
        offered = [
            c for c, why in reasons if not why and c.vocalization_type == name and c.row["xc_id"] not in have_ids
        ]
        chosen += choose(offered, max(0, filters.per_type - len(recordists)), recordists)
    return SpeciesPlan(
        species=species,
        found=len(candidates),
        chosen=tuple(chosen),
        on_disk=Counter(kind for kind, _ in have),
        adopted=adopted,
        left_out=Counter(reason for _, reason in reasons if reason),
        unknown_types=Counter(c.row["type"] for c, reason in reasons if reason == "type not known"),
    )


def _sounds_on_disk(folder: Path) -> dict[str, Path]:
    """Xeno-canto number -> file, for the whole files below a species folder."""
    paths = [path for path in sorted(folder.rglob("XC*")) if path.suffix.lower() in SOUND_SUFFIXES]
    return {recording_id(path).removeprefix("XC"): path for path in paths}
