"""What one has of a species, and what a training would make of it: the rules of `prepare`, without making a mel.

Training also leaves out what was encoded anew or cut (`near_duplicates.py`), which only mels show; here it counts.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from birdnet_nl.audio.inspection import FileFacts
from birdnet_nl.data.segments import cut_segments
from birdnet_nl.data.splits import SPLITS, group_of, usable_types
from birdnet_nl.data.training_rules import FEW_TEST_RECORDINGS, MIN_COMPARED_S, TrainingRules
from birdnet_nl.data.type_choice import ChosenTypes, choose_types
from birdnet_nl.recordings.choice import licence_code
from birdnet_nl.recordings.labels import classify_type
from birdnet_nl.recordings.library import FoundRecording
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import DataError

CLIPPED_SHARE = 1e-4  # of the samples; with more a recording counts as clipped
DUPLICATE = "has the same content as another file"
SAME_SOUND = "holds the same sound as another file"
TWO_TYPES = "the same sound has two types"
SHORT_SHARE = 0.5  # of a segment; a shorter recording is padded to more than twice its length


@dataclass(frozen=True)
class InspectedRecording:
    """A recording, what its file is like, and what training makes of it.

    Attributes:
        kind: song, call, alarm, several, other or unknown.
        left_out: why training does not use it; empty when it is usable.
        duplicate_of: names of the files with the same sound, the one used in its place first; empty as a rule.
        split: train, val or test; empty when it is not trained on.
        segments: that training would cut from it.
        oddities: what is odd about it although it is used: clipped, too short, and so on.
    """

    recording: FoundRecording
    facts: FileFacts
    kind: str
    left_out: str
    duplicate_of: str
    split: str
    segments: int
    oddities: tuple[str, ...]


@dataclass(frozen=True)
class TypeOverview:
    """One vocalization type: recordings `found` on disk and `usable` for training.

    Attributes:
        recordists: of the usable ones, by name; `unnamed` is the number of usable recordings by unknown people.
        duration_s, segments: of the usable ones.
        why_not: why training leaves the type out, in a few words; empty when it does not.
    """

    found: int
    usable: int
    recordists: int
    unnamed: int
    duration_s: float
    segments: int
    splits: Mapping[str, int]
    why_not: str

    @property
    def verdict(self) -> str:
        """Whether the type suffices: `no`, `just` (too few test recordings to believe a figure) or `yes`."""
        return "no" if self.why_not else "just" if self.splits["test"] < FEW_TEST_RECORDINGS else "yes"


@dataclass(frozen=True)
class SpeciesOverview:
    """What there is of one species.

    Attributes:
        types: by vocalization type, in the order of the rules.
        problem: why no classifier can be trained, as one sentence; empty when one can.
        repeated_ids: files by recording id, where one number lies there more than once.
        synthetic: some of the folders hold demo recordings.
    """

    species: Species
    folders: tuple[Path, ...]
    recordings: tuple[InspectedRecording, ...]
    types: Mapping[str, TypeOverview]
    problem: str
    repeated_ids: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    synthetic: bool = False

    @property
    def duration_s(self) -> float:
        return sum(one.facts.duration_s for one in self.recordings)

    def count(self, name: str, unknown: str = "unknown") -> Counter:
        """How many recordings have which value of a field of `Recording`, most frequent first."""
        values = Counter(getattr(one.recording, name) or unknown for one in self.recordings)
        return Counter(dict(sorted(values.items(), key=lambda item: (-item[1], str(item[0])))))

    @property
    def recordists(self) -> Counter:
        """Recordings per person, most first; without the recordings of which nobody knows who made them."""
        return Counter({name: count for name, count in self.count("recordist", "").items() if name})

    @property
    def licences(self) -> Counter:
        counts: Counter[str] = Counter()
        for text, count in self.count("licence", "").items():
            counts[licence_name(text)] += count
        return counts

    @property
    def unclear(self) -> Counter:
        """Type texts that are not plainly one type; such recordings are counted, not trained on."""
        return Counter(one.recording.type_text or "(no type)" for one in self.recordings if one.kind not in self.types)

    def problems(self) -> dict[str, list[str]]:
        """Names of the files with each kind of trouble, those that training has to leave out first."""
        found: dict[str, list[str]] = defaultdict(list)
        for one in self.recordings:
            if one.facts.reason or one.duplicate_of:
                same = f" (as {one.duplicate_of})" if one.duplicate_of else ""
                found[f"left out: {one.facts.reason or one.left_out}"].append(f"{one.recording.path.name}{same}")
        for one in self.recordings:
            for oddity in one.oddities:
                found[oddity].append(one.recording.path.name)
        for id, paths in self.repeated_ids.items():
            found["the same number more than once"].append(f"{id} ({', '.join(path.parent.name for path in paths)})")
        return dict(found)


def licence_name(text: str) -> str:
    """`CC BY-NC-SA` from the address of a licence; other texts as they are."""
    code = licence_code(text)
    return "CC0" if code == "cc0" else f"CC {code.upper()}" if code else text or "unknown"


def build_overview(
    species: Species,
    found: Sequence[FoundRecording],
    facts: Mapping[Path, FileFacts],
    rules: TrainingRules,
    files: Mapping[str, Sequence[Path]] | None = None,
    folders: Sequence[Path] = (),
    synthetic: bool = False,
) -> SpeciesOverview:
    """Judge the recordings of a species in the order in which training would meet them; `files` by recording id."""
    left_out, duplicate_of = _reasons_to_leave_out(found, facts, rules)
    usable = [recording for recording in found if not left_out[recording.id]]
    chosen, problem = _choose_types(species, usable, rules)
    sounds = Counter(facts[recording.path].sound for recording in found if recording.id not in duplicate_of)
    inspected = tuple(
        InspectedRecording(
            recording=recording,
            facts=(fact := facts[recording.path]),
            kind=classify_type(recording.type_text, flight_call=rules.flight_call),
            left_out=left_out[recording.id],
            duplicate_of=duplicate_of.get(recording.id, ""),
            split=chosen.splits.get(recording.id, ""),
            segments=len(cut_segments(fact.duration_s, rules.segment_s, rules.segment_hop_s)) if not fact.reason else 0,
            oddities=_oddities(fact, rules, sounds[fact.sound] > 1 and recording.id not in duplicate_of),
        )
        for recording in found
    )
    return SpeciesOverview(
        species=species,
        folders=tuple(folders),
        recordings=inspected,
        types={name: _type_overview(name, inspected, chosen.left_out.get(name, "")) for name in rules.types},
        problem=problem,
        repeated_ids={id: list(paths) for id, paths in (files or {}).items() if len(paths) > 1},
        synthetic=synthetic,
    )


def _reasons_to_leave_out(
    found: Sequence[FoundRecording], facts: Mapping[Path, FileFacts], rules: TrainingRules
) -> tuple[dict[str, str], dict[str, str]]:
    """Reasons, and names of the originals of repeated sound, by recording id; in the order of `prepare_recordings`:
    unclear types first, then bad files, then repeated sound.
    """
    reasons, duplicate_of = {}, {}
    copies: dict[str, list[FoundRecording]] = defaultdict(list)
    for recording in found:
        fact = facts[recording.path]
        if recording.vocalization_type not in rules.types:
            kind = classify_type(recording.type_text, flight_call=rules.flight_call)
            reasons[recording.id] = f"{kind} types" if kind == "several" else f"{kind} type"
        elif fact.reason:
            reasons[recording.id] = fact.reason
        else:
            reasons[recording.id] = ""
            copies[fact.sound if fact.duration_s >= MIN_COMPARED_S else fact.content].append(recording)
    for same in copies.values():
        agree = len({recording.vocalization_type for recording in same}) == 1
        for recording in same[1:] if agree else same:  # of copies that do not agree on the type none is kept
            others = same[:1] if agree else [other for other in same if other is not recording]
            equal = facts[recording.path].content == facts[same[0].path].content
            reasons[recording.id] = TWO_TYPES if not agree else DUPLICATE if equal else SAME_SOUND
            duplicate_of[recording.id] = ", ".join(f"{other.path.parent.name}/{other.path.name}" for other in others)
    return reasons, duplicate_of


def _choose_types(species: Species, usable: Sequence[FoundRecording], rules: TrainingRules) -> tuple[ChosenTypes, str]:
    """What training would take, and why it could not train; an empty text when it could."""
    try:
        chosen = choose_types(usable, rules.types, dict(rules.shares), rules.min_recordings, rules.seed)
    except DataError as error:
        types, left_out = usable_types(usable, rules.types, rules.min_recordings)
        return ChosenTypes([], types, {}, left_out), str(error)
    if len(chosen.types) < 2:
        enough = f"only {chosen.types[0]} has" if chosen.types else "no type has"
        least = f"at least {rules.min_recordings} recordings by {len(SPLITS)} recordists"
        return chosen, f"{species.slug}: two types are needed to train and {enough} {least}"
    return chosen, ""


def _oddities(fact: FileFacts, rules: TrainingRules, sound_repeated: bool) -> tuple[str, ...]:
    if fact.reason:
        return ()
    oddities = {
        "clipped": fact.clipped_share > CLIPPED_SHARE,
        "cut off at the end": fact.cut,
        f"too short (below {SHORT_SHARE * rules.segment_s:g} s)": fact.duration_s < SHORT_SHARE * rules.segment_s,
        "the same sound in two different files": sound_repeated,
    }
    return tuple(oddity for oddity, holds in oddities.items() if holds)


def _type_overview(name: str, inspected: Sequence[InspectedRecording], why_not: str) -> TypeOverview:
    of_type = [one for one in inspected if one.recording.vocalization_type == name]
    usable = [one for one in of_type if not one.left_out]
    splits = Counter(one.split for one in usable if one.split)
    return TypeOverview(
        found=len(of_type),
        usable=len(usable),
        recordists=len({group_of(one.recording) for one in usable if one.recording.recordist}),
        unnamed=sum(not one.recording.recordist for one in usable),
        duration_s=sum(one.facts.duration_s for one in usable),
        segments=sum(one.segments for one in usable),
        splits={split: splits[split] for split in SPLITS},
        why_not=why_not,
    )
