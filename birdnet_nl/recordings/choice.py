"""Which of the recordings that Xeno-canto offers to take: filters, then the best, spread over recordists."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from birdnet_nl.recordings.folder import SOUND_SUFFIXES
from birdnet_nl.recordings.labels import FLIGHT_CALL_CHOICES, UNKNOWN, classify_type
from birdnet_nl.recordings.manifest import TYPE_FOLDERS, Row
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES, Recording
from birdnet_nl.species.table import Species

QUALITIES = ("A", "B", "C", "D", "E")
UNRATED_RANK = 2.5  # a recording without a rating is taken after C
SAME_RECORDIST = 5  # so many recordings of one recordist cost one step of quality
PROTECTED = "protected species, sound not public"


@dataclass(frozen=True)
class Filters:
    """What to take; refused with ValueError when it makes no sense.

    Attributes:
        types: of song, call, alarm, several, other.
        per_type: most recordings of a type, those already on disk included.
        min_quality: A to E; recordings without a rating pass, except for A and B.
        countries: English names as on Xeno-canto, any case; empty for the whole world.
        licences: such as `by-nc-sa`; empty for all.
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
        if wrong := [name for name in self.types if name not in TYPE_FOLDERS]:
            raise ValueError(f"type {wrong[0]} is not possible; choose of {', '.join(TYPE_FOLDERS)}")
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
    """A recording on offer; its manifest row lacks `file` and `sha256` until it has been fetched."""

    row: Row
    url: str
    suffix: str
    length_s: float
    vocalization_type: str


def candidate_of(answer: Mapping[str, Any], species: Species, flight_call: str = "call") -> Candidate:
    """One entry of the API's `recordings` as a candidate; missing or odd values become empty ones."""
    text = {name: str(value).strip() for name, value in answer.items() if isinstance(value, str | int | float)}
    also = answer.get("also")
    length_s = parse_length_s(text.get("length", ""))
    row = {
        "xc_id": text.get("id", ""),
        "slug": species.slug,
        "scientific": f"{text.get('gen', '')} {text.get('sp', '')}".strip(),
        "english": text.get("en", ""),
        "type": text.get("type", ""),
        "quality": text.get("q", "").upper() if text.get("q", "").upper() in QUALITIES else "",
        "recordist": text.get("rec", ""),
        "licence": whole_url(text.get("lic", "")),
        "country": text.get("cnt", ""),
        "date": text.get("date", ""),
        "time": text.get("time", ""),
        "latitude": text.get("lat", ""),
        "longitude": text.get("lon", text.get("lng", "")),
        "duration_s": f"{length_s:g}" if length_s else "",
        "remarks": text.get("rmk", ""),
        "background": "; ".join(str(name) for name in also if name) if isinstance(also, list) else "",
    }
    name = text.get("file-name", "")
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    return Candidate(
        row=row,
        url=whole_url(text.get("file", "")),
        suffix=suffix if suffix in SOUND_SUFFIXES else ".mp3",
        length_s=length_s,
        vocalization_type=classify_type(row["type"], flight_call=flight_call),
    )


def whole_url(url: str) -> str:
    """Xeno-canto leaves out the protocol of some addresses: `//xeno-canto.org/123/download`."""
    return f"https:{url}" if url.startswith("//") else url


def parse_length_s(text: str) -> float:
    """Seconds from `m:ss` or `h:mm:ss`; 0 when it is neither."""
    if not re.fullmatch(r"(\d+:){1,2}\d+(\.\d+)?", text):
        return 0.0
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def licence_code(url: str) -> str:
    """`by-nc-sa` from the address of a Creative Commons licence; `cc0` for the public domain."""
    match = re.search(r"creativecommons\.org/(?:licenses/([a-z-]+)|(publicdomain))", url.lower())
    return (match[1] or "cc0") if match else ""


def allows_excerpts(recording: Recording) -> bool:
    """False when the licence forbids changed copies, written as an address or as `CC BY-NC-ND 4.0`."""
    return re.search(r"\b(by|nc)-nd\b", recording.licence.lower()) is None


def reason_to_leave_out(candidate: Candidate, species: Species, filters: Filters) -> str:
    """Why a recording on offer is not wanted, in words fit for counting; empty when it is."""
    row = candidate.row
    if row["scientific"].casefold() not in {name.casefold() for name in scientific_names(species)}:
        return "another species"
    if not row["xc_id"].isdecimal():
        return "no number"
    if candidate.vocalization_type == UNKNOWN:
        return "type not known"
    if candidate.vocalization_type not in filters.types:
        return f"type {candidate.vocalization_type}"
    if not candidate.url:
        return PROTECTED
    if quality_rank(row["quality"]) > QUALITIES.index(filters.min_quality) + 0.5:
        return f"quality below {filters.min_quality}"
    if not filters.min_s <= candidate.length_s <= filters.max_s:
        return f"not between {filters.min_s:g} and {filters.max_s:g} s"
    if filters.countries and row["country"].casefold() not in {name.casefold() for name in filters.countries}:
        return "country"
    if filters.licences and licence_code(row["licence"]) not in filters.licences:
        return "licence"
    return ""


def scientific_names(species: Species) -> tuple[str, ...]:
    """Names under which Xeno-canto may keep the species, such as Coloeus monedula and Corvus monedula."""
    return tuple(dict.fromkeys(name for name in (species.scientific, species.birdnet) if name))


def quality_rank(quality: str) -> float:
    """0 for A to 4 for E."""
    return QUALITIES.index(quality) if quality in QUALITIES else UNRATED_RANK


def choose(candidates: Iterable[Candidate], count: int, recordists_so_far: Iterable[str] = ()) -> list[Candidate]:
    """The `count` best of the candidates, best first: by quality, where every `SAME_RECORDIST` recordings of one
    recordist, those on disk included, cost one step, so that nobody fills a type alone while others are nearly as good.
    """
    seen = Counter(recordists_so_far)
    ranked = []
    for candidate in sorted(candidates, key=lambda c: (quality_rank(c.row["quality"]), int(c.row["xc_id"]))):
        nth = seen[candidate.row["recordist"]]
        seen[candidate.row["recordist"]] += 1
        rank = quality_rank(candidate.row["quality"]) + nth // SAME_RECORDIST
        ranked.append((rank, nth, int(candidate.row["xc_id"]), candidate))
    return [candidate for *_, candidate in sorted(ranked, key=lambda entry: entry[:3])[:count]]
