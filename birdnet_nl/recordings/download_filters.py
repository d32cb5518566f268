"""Selection of recordings to download: filters, then the best of each type, spread over recordists."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from birdnet_nl.recordings.labels import UNKNOWN, classify_type
from birdnet_nl.recordings.manifest import TYPE_FOLDERS, Row
from birdnet_nl.recordings.recording import (
    QUALITIES,
    VOCALIZATION_TYPES,
    complete_url,
    licence_code,
    parse_duration_s,
    quality_rank,
)
from birdnet_nl.recordings.sound_file import SOUND_SUFFIXES
from birdnet_nl.recordings.type_set import FLIGHT_CALL_CHOICES, three
from birdnet_nl.species.table import Species

RECORDINGS_PER_QUALITY_STEP = 5  # so many recordings of one recordist cost one step of quality
PROTECTED = "protected species, sound not public"
TYPE_NOT_KNOWN = "type not known"


@dataclass(frozen=True)
class Filters:
    """Criteria for a download; raises `ValueError` if nothing can satisfy them.

    Attributes:
        types: of song, call, alarm, several, other.
        per_type: most recordings of a type, including those on disk.
        min_quality: A to E; recordings without a rating pass, except for A and B.
        countries: English names as on Xeno-canto, in any case; empty for the whole world.
        licences: e.g. `by-nc-sa`; empty for all.
    """

    types: tuple[str, ...] = VOCALIZATION_TYPES
    per_type: int = 60
    min_quality: str = "C"
    min_s: float = 1.0
    max_s: float = 180.0
    countries: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    flight_call: str = "call"

    def __post_init__(self) -> None:
        if unknown := [name for name in self.types if name not in TYPE_FOLDERS]:
            raise ValueError(f"type {unknown[0]} is not possible; choose of {', '.join(TYPE_FOLDERS)}")
        if self.min_quality not in QUALITIES:
            raise ValueError(f"quality {self.min_quality} is not possible; choose one of {', '.join(QUALITIES)}")
        if self.per_type < 1 or not 0 <= self.min_s < self.max_s:
            raise ValueError(
                f"per_type={self.per_type}, min_s={self.min_s:g}, max_s={self.max_s:g} leave nothing; "
                "choose at least 1 recording and min_s below max_s"
            )
        if self.flight_call not in FLIGHT_CALL_CHOICES:
            raise ValueError(
                f"flight_call={self.flight_call} is not possible; choose one of {', '.join(FLIGHT_CALL_CHOICES)}"
            )


@dataclass(frozen=True)
class Candidate:
    """A recording on Xeno-canto; its manifest row has no `file` and `sha256` until it is downloaded."""

    row: Row
    url: str
    suffix: str
    duration_s: float
    vocalization_type: str


def parse_candidate(entry: Mapping[str, Any], species: Species, flight_call: str = "call") -> Candidate:
    """Convert one entry of the API's `recordings`; missing and odd values become empty."""
    text = {name: str(value).strip() for name, value in entry.items() if isinstance(value, str | int | float)}
    background = entry.get("also")
    duration_s = parse_duration_s(text.get("length", ""))
    row = {
        "xc_id": text.get("id", ""),
        "slug": species.slug,
        "scientific": f"{text.get('gen', '')} {text.get('sp', '')}".strip(),
        "english": text.get("en", ""),
        "type": text.get("type", ""),
        "quality": text.get("q", "").upper() if text.get("q", "").upper() in QUALITIES else "",
        "recordist": text.get("rec", ""),
        "licence": complete_url(text.get("lic", "")),
        "country": text.get("cnt", ""),
        "date": text.get("date", ""),
        "time": text.get("time", ""),
        "latitude": text.get("lat", ""),
        "longitude": text.get("lon", text.get("lng", "")),
        "duration_s": f"{duration_s:g}" if duration_s else "",
        "remarks": text.get("rmk", ""),
        "background": "; ".join(str(name) for name in background if name) if isinstance(background, list) else "",
    }
    name = text.get("file-name", "")
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    return Candidate(
        row=row,
        url=complete_url(text.get("file", "")),
        suffix=suffix if suffix in SOUND_SUFFIXES else ".mp3",
        duration_s=duration_s,
        vocalization_type=classify_type(row["type"], three(flight_call)),
    )


def rejection_reason(candidate: Candidate, species: Species, filters: Filters) -> str:
    """Return why the filters reject a candidate, as a text to count; empty if they accept it."""
    row = candidate.row
    if row["scientific"].casefold() not in {name.casefold() for name in scientific_names(species)}:
        return "another species"
    if not row["xc_id"].isdecimal():
        return "no number"
    if candidate.vocalization_type == UNKNOWN:
        return TYPE_NOT_KNOWN
    if candidate.vocalization_type not in filters.types:
        return f"type {candidate.vocalization_type}"
    if not candidate.url:
        return PROTECTED
    if quality_rank(row["quality"]) > QUALITIES.index(filters.min_quality) + 0.5:
        return f"quality below {filters.min_quality}"
    if not filters.min_s <= candidate.duration_s <= filters.max_s:
        return f"not between {filters.min_s:g} and {filters.max_s:g} s"
    if filters.countries and row["country"].casefold() not in {name.casefold() for name in filters.countries}:
        return "country"
    if filters.licences and licence_code(row["licence"]) not in filters.licences:
        return "licence"
    return ""


def scientific_names(species: Species) -> tuple[str, ...]:
    """Return the names that Xeno-canto may use for the species, e.g. Coloeus monedula and Corvus monedula."""
    return tuple(dict.fromkeys(name for name in (species.scientific, species.birdnet) if name))


def select_best(candidates: Iterable[Candidate], count: int, recordists_on_disk: Iterable[str] = ()) -> list[Candidate]:
    """Return the `count` best candidates, best first.

    The order is by quality, lowered by one step for every `RECORDINGS_PER_QUALITY_STEP` recordings of the same
    recordist, including those on disk. So no recordist dominates a type while others are nearly as good.
    """
    counts = Counter(recordists_on_disk)
    ranked = []
    for candidate in sorted(candidates, key=lambda c: (quality_rank(c.row["quality"]), int(c.row["xc_id"]))):
        earlier = counts[candidate.row["recordist"]]
        counts[candidate.row["recordist"]] += 1
        rank = quality_rank(candidate.row["quality"]) + earlier // RECORDINGS_PER_QUALITY_STEP
        ranked.append((rank, earlier, int(candidate.row["xc_id"]), candidate))
    return [candidate for *_, candidate in sorted(ranked, key=lambda entry: entry[:3])[:count]]


def select_new_recordists(
    candidates: Iterable[Candidate], count: int, recordists_on_disk: Iterable[str] = ()
) -> list[Candidate]:
    """Return `count` candidates, those of recordists with the fewest recordings first, the best of each first.

    Recordings by others say more about a type than further ones by the same recordist, and only they allow splits with
    recordists apart. A recordist without a name counts as new each time.
    """
    counts = Counter(recordists_on_disk)
    ranked = []
    for candidate in sorted(candidates, key=lambda c: (quality_rank(c.row["quality"]), int(c.row["xc_id"]))):
        recordist = candidate.row["recordist"]
        earlier = counts[recordist] if recordist else 0
        counts[recordist] += 1
        ranked.append((earlier, quality_rank(candidate.row["quality"]), int(candidate.row["xc_id"]), candidate))
    return [candidate for *_, candidate in sorted(ranked, key=lambda entry: entry[:3])[:count]]
