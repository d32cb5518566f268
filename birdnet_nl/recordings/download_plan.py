"""Plan of a download from Xeno-canto: the recordings to fetch, their size and the expected time."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from birdnet_nl.recordings.download_filters import (
    PROTECTED,
    TYPE_NOT_KNOWN,
    Candidate,
    Filters,
    parse_candidate,
    rejection_reason,
    scientific_names,
    select_best,
    select_new_recordists,
)
from birdnet_nl.recordings.folder import recording_id
from birdnet_nl.recordings.labels import classify_type
from birdnet_nl.recordings.manifest import read_rows, species_folder
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.recordings.sound_file import SOUND_SUFFIXES, find_defect
from birdnet_nl.recordings.type_set import three
from birdnet_nl.recordings.xeno_canto import BusyError, DownloadError, IncompleteError, XenoCanto
from birdnet_nl.recordings.xeno_canto_pages import Entry
from birdnet_nl.species.table import Species

BYTES_PER_S = 23_000  # mean of Xeno-canto's own mp3 files, measured on one hour
ASSUMED_SPEED_BYTES_PER_S = 2_000_000


@dataclass(frozen=True)
class SpeciesPlan:
    """Recordings to fetch for one species.

    Attributes:
        found: number of recordings that the queries found on Xeno-canto.
        chosen: candidates to fetch, in order.
        on_disk: number of recordings of each type on disk.
        adopted: candidates on disk without a manifest row, e.g. after a kill; they get one.
        left_out: number of candidates for each reason, including the protected ones.
        unknown_types: type texts without a clear type.
        error: why a query failed or is incomplete; empty otherwise.
        recordists_on_disk: of recordings of any type.
    """

    species: Species
    found: int = 0
    chosen: tuple[Candidate, ...] = ()
    on_disk: Counter[str] = field(default_factory=Counter)
    adopted: tuple[tuple[Candidate, Path], ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)
    unknown_types: Counter[str] = field(default_factory=Counter)
    error: str = ""
    recordists_on_disk: frozenset[str] = frozenset()

    @property
    def protected(self) -> int:
        return self.left_out[PROTECTED]

    def count(self, vocalization_type: str) -> int:
        return sum(candidate.vocalization_type == vocalization_type for candidate in self.chosen)

    @property
    def expected_bytes(self) -> int:
        return int(BYTES_PER_S * sum(candidate.duration_s for candidate in self.chosen))


@dataclass(frozen=True)
class Plan:
    """The plans of all species of a download."""

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


def build_queries(species: Species, types: Sequence[str]) -> list[str]:
    """Return one tag query per type and scientific name, or per name if `types` has more than song, call and alarm."""
    tags = [f" type:{name}" for name in types] if set(types) <= set(VOCALIZATION_TYPES) else [""]
    return [f'sp:"{name.lower()}" grp:birds{tag}' for name in scientific_names(species) for tag in tags]


def plan_downloads(
    species: Sequence[Species],
    client: XenoCanto,
    root: Path,
    filters: Filters,
    on_species: Callable[[SpeciesPlan], None] = lambda part: None,
    needs: Mapping[str, Mapping[str, int]] | None = None,
) -> Plan:
    """Query Xeno-canto and choose recordings; fetch no sound and write nothing.

    With `needs`, the numbers to fetch by slug and type, those types are fetched in that order and new recordists first;
    a species that needs nothing is not queried. A species whose query fails stays in the plan with its error, and the
    others continue.
    """
    parts = []
    for member in species:
        need = None if needs is None else needs[member.slug]
        try:
            part = SpeciesPlan(member) if need == {} else _plan_species(member, client, root, filters, need)
        except BusyError:
            raise
        except DownloadError as error:
            part = SpeciesPlan(member, error=str(error))
        parts.append(part)
        on_species(part)
    return Plan(tuple(parts), client.rate_limit.delay_s)


def _plan_species(
    species: Species, client: XenoCanto, root: Path, filters: Filters, need: Mapping[str, int] | None
) -> SpeciesPlan:
    entries, errors = _query(species, client, filters)
    candidates = [parse_candidate(entry, species, filters.flight_call) for entry in entries.values()]
    reasons = [rejection_reason(candidate, species, filters) for candidate in candidates]
    folder = species_folder(root, species)
    rows = [row for row in read_rows(folder) if (folder / row.get("file", "")).is_file()]
    ids_with_row = {row.get("xc_id", "").upper().removeprefix("XC") for row in rows}
    sounds = [path for path in sorted(folder.rglob("XC*")) if path.suffix.lower() in SOUND_SUFFIXES]
    paths = {recording_id(path).removeprefix("XC"): path for path in sounds}
    adopted = tuple(
        (candidate, path)
        for candidate in candidates
        if candidate.row["xc_id"] not in ids_with_row
        and (path := paths.get(candidate.row["xc_id"]))
        and not find_defect(path, candidate.duration_s)
    )
    on_disk = [(classify_type(row.get("type", ""), three(filters.flight_call)), row) for row in rows]
    on_disk += [(candidate.vocalization_type, candidate.row) for candidate, _ in adopted]
    ids_on_disk = ids_with_row | {candidate.row["xc_id"] for candidate, _ in adopted}
    checked = list(zip(candidates, reasons, strict=True))
    new = [candidate for candidate, reason in checked if not reason and candidate.row["xc_id"] not in ids_on_disk]
    recordists_on_disk = [row.get("recordist", "") for _, row in on_disk]
    chosen: list[Candidate] = []
    for name in filters.types if need is None else need:
        recordists = [row.get("recordist", "") for label, row in on_disk if label == name]
        of_type = [candidate for candidate in new if candidate.vocalization_type == name]
        if need is not None:
            earlier = [*recordists_on_disk, *(candidate.row["recordist"] for candidate in chosen)]
            chosen += select_new_recordists(of_type, need[name], earlier)
            continue
        chosen += select_best(of_type, max(0, filters.per_type - len(recordists)), recordists)
    return SpeciesPlan(
        species=species,
        found=len(candidates),
        chosen=tuple(chosen),
        on_disk=Counter(label for label, _ in on_disk),
        adopted=adopted,
        left_out=Counter(reason for reason in reasons if reason),
        unknown_types=Counter(candidate.row["type"] for candidate, reason in checked if reason == TYPE_NOT_KNOWN),
        error="; ".join(errors),
        recordists_on_disk=frozenset(recordists_on_disk),
    )


def _query(species: Species, client: XenoCanto, filters: Filters) -> tuple[dict[str, Entry], list[str]]:
    """Return the recordings that arrived by id, and errors; raise the error of a query if nothing arrived before it."""
    entries: dict[str, Entry] = {}
    errors = []
    for query in build_queries(species, filters.types):
        try:
            found = client.search(query)
        except IncompleteError as error:
            found = error.entries
            errors.append(str(error))
        except BusyError:
            raise
        except DownloadError as error:
            if not entries:
                raise
            return entries, [*errors, f"{error}; the recordings of the queries before it are used"]
        entries |= {str(entry["id"]).strip(): entry for entry in found}
    return entries, errors
