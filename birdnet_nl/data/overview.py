"""Overview of the recordings of a species and of what a training would use, by the rules of `prepare` but without mels.

Near-duplicates (`near_duplicates.py`) are found in mels only: a training leaves them out, the overview counts them.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from birdnet_nl.audio.inspection import FileFacts
from birdnet_nl.data.segments import cut_segments
from birdnet_nl.data.splits import SPLITS, group_of
from birdnet_nl.data.training_rules import (
    FEW_TEST_RECORDINGS,
    MIN_COMPARED_S,
    ChosenTypes,
    TrainingRules,
    choose_types,
    usable_types,
)
from birdnet_nl.recordings.file_summary import SAME_FILE, FileSummary, summarize_files, type_reason
from birdnet_nl.recordings.folder import FolderContent, classify
from birdnet_nl.recordings.labels import UNKNOWN
from birdnet_nl.recordings.listing import printable_path
from birdnet_nl.recordings.recording import Recording, licence_code
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import DataError

CLIPPED_SHARE = 1e-4  # of the samples; with more a recording counts as clipped
DUPLICATE = "has the same content as another file"
SAME_SOUND = "holds the same sound as another file"
NOT_SEARCHED = "near-duplicates are searched by a training only, which may use fewer files"
TWO_TYPES = "the same sound has two types"
NUMBER = re.compile(r"(?<![\w./\\-])\d+(?:\.\d+)?(?![\w/\\-]|\.\w)")  # alone, not in the name of a file or format
SHORT_SHARE = 0.5  # of a segment; a shorter recording is padded to more than twice its length


@dataclass(frozen=True)
class InspectedRecording:
    """Recording with the facts about its file and its use in a training.

    Attributes:
        kind: song, call, alarm, several, other or unknown.
        left_out: reason for which a training leaves it out; empty when it is usable.
        duplicate_of: names of the files with the same sound, the one used in its place first; empty without duplicates.
        split: train, val or test; empty when it is not used.
        segments: number of segments that a training would cut from it.
        oddities: problems with which it is still used: clipped, too short, and so on.
    """

    recording: Recording
    facts: FileFacts
    kind: str
    left_out: str
    duplicate_of: str
    split: str
    segments: int
    oddities: tuple[str, ...]


@dataclass(frozen=True)
class TypeOverview:
    """Counts of one vocalization type.

    Attributes:
        found: recordings on disk.
        usable: recordings that a training can use; the fields after it count only these.
        unnamed: recordings of unknown recordist, beside the number of `recordists`.
        why_not: reason for which a training leaves the type out; empty when it does not.
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
        """`no` when the type is left out, `just` with too few test recordings for a reliable metric, else `yes`."""
        return "no" if self.why_not else "just" if self.splits["test"] < FEW_TEST_RECORDINGS else "yes"


@dataclass(frozen=True)
class SpeciesOverview:
    """Recordings of one species.

    Attributes:
        types: counts by vocalization type, in the order of the rules.
        problem: reason in one sentence for which no classifier can be trained; empty when one can.
        content: every file in the folders, and the rows of their manifests.
        files: counts of all files in the folders; a file counts as used when a training can use it.
        synthetic: some of the folders hold demo recordings.
    """

    species: Species
    folders: tuple[Path, ...]
    recordings: tuple[InspectedRecording, ...]
    types: Mapping[str, TypeOverview]
    problem: str
    content: FolderContent
    files: FileSummary
    synthetic: bool = False

    @property
    def duration_s(self) -> float:
        return sum(item.facts.duration_s for item in self.recordings)

    def count(self, name: str, unknown: str = "unknown") -> Counter:
        """Count the recordings by value of the field `name` of `Recording`, most frequent first."""
        values = Counter(getattr(item.recording, name) or unknown for item in self.recordings)
        return Counter(dict(sorted(values.items(), key=lambda item: (-item[1], str(item[0])))))

    @property
    def recordists(self) -> Counter:
        """Number of recordings by recordist, most frequent first, without those of unknown recordist."""
        return Counter({name: count for name, count in self.count("recordist", "").items() if name})

    @property
    def licences(self) -> Counter:
        return sum((Counter({licence_name(text): n}) for text, n in self.count("licence", "").items()), Counter())

    @property
    def unclear(self) -> Counter:
        """Number of recordings by type text, for texts that are not plainly one type."""
        return Counter(
            item.recording.type_text or "(no type)" for item in self.recordings if item.kind not in self.types
        )

    @property
    def not_understood(self) -> Counter:
        """Number of recordings by type text, for texts that no rule understands, most frequent first."""
        texts = Counter(item.recording.type_text or "(no type)" for item in self.recordings if item.kind == UNKNOWN)
        return Counter(dict(texts.most_common()))

    @property
    def repeated_ids(self) -> dict[str, list[Path]]:
        """Files by recording id, for ids that occur more than once; the first of them is used."""
        id_of = {item.recording.path: item.recording.id for item in self.recordings}
        files: dict[str, list[Path]] = {}
        for other, first in self.content.same_recording.items():
            files.setdefault(id_of[first], [first]).append(other)
        return files

    def problems(self, joined: bool = True) -> dict[str, list[str]]:
        """Return file names by problem; problems for which a training leaves recordings out come first.

        When `joined`, problems that differ only in numbers are one, as by `join_reasons`.
        """
        files: dict[str, list[str]] = defaultdict(list)
        for item in self.recordings:
            if item.facts.reason or item.duplicate_of:
                same = f" (as {item.duplicate_of})" if item.duplicate_of else ""
                files[f"left out: {item.facts.reason or item.left_out}"].append(
                    f"{printable_path(item.recording.path.name)}{same}"
                )
        for item in self.recordings:
            for oddity in item.oddities:
                files[oddity].append(printable_path(item.recording.path.name))
        for id, paths in self.repeated_ids.items():
            files["the same number more than once"].append(f"{id} ({', '.join(path.parent.name for path in paths)})")
        for path, reason in (entry for listing in self.content.listings for entry in listing.left_out_below):
            files[f"left out: {reason}"].append(path)
        for listing in self.content.listings:
            for path, first in listing.same_file.items():
                name, used = (printable_path(at.relative_to(listing.folder)) for at in (path, first))
                files[f"left out: {SAME_FILE}"].append(f"{name} (as {used})")
        files["recordings.csv: rows without a file"] += map(printable_path, self.content.rows_without_file)
        files["recordings.csv: files without a row"] += self.content.files_without_row
        files["recordings.csv: rows that fit several files, not used"] += self.content.ambiguous_rows
        problems = {problem: names for problem, names in files.items() if names}
        return join_reasons(problems) if joined else problems


def join_reasons(files: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Join reasons that differ only in numbers, in the order of the first: `cut off after 3.9 to 7.6 s`."""
    alike: dict[str, list[str]] = {}
    for reason in files:
        alike.setdefault(NUMBER.sub("\0", reason), []).append(reason)
    joined = {}
    for reasons in alike.values():
        ranges = []
        for numbers in zip(*map(NUMBER.findall, reasons), strict=True):
            low, high = min(numbers, key=float), max(numbers, key=float)
            ranges.append(low if low == high else f"{low} to {high}")
        texts = iter(ranges)
        joined[NUMBER.sub(lambda _, texts=texts: next(texts), reasons[0])] = [
            name for reason in reasons for name in files[reason]
        ]
    return joined


def licence_name(text: str) -> str:
    """Convert the address of a licence to a name such as `CC BY-NC-SA`; other texts are returned unchanged."""
    code = licence_code(text)
    return "CC0" if code == "cc0" else f"CC {code.upper()}" if code else text or "unknown"


def build_overview(
    species: Species,
    facts: Mapping[Path, FileFacts],
    rules: TrainingRules,
    content: FolderContent,
    synthetic: bool = False,
) -> SpeciesOverview:
    """Apply the rules of a training to the recordings of a species, in the same order."""
    found = content.recordings
    left_out, duplicate_of = _reasons_to_leave_out(found, facts, rules)
    usable = [recording for recording in found if not left_out[recording.id]]
    chosen, problem = _choose_types(species, usable, rules)
    sounds = Counter(facts[recording.path].sound for recording in found if recording.id not in duplicate_of)
    inspected = tuple(
        InspectedRecording(
            recording=recording,
            facts=(fact := facts[recording.path]),
            kind=classify(recording.type_text, rules.type_set),
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
        folders=tuple(listing.folder for listing in content.listings),
        recordings=inspected,
        types={name: _type_overview(name, inspected, chosen.left_out.get(name, "")) for name in rules.types},
        problem=problem,
        content=content,
        files=summarize_files([content], _unused_files(inspected, chosen, rules)),
        synthetic=synthetic,
    )


def _unused_files(
    inspected: Sequence[InspectedRecording], chosen: ChosenTypes, rules: TrainingRules
) -> dict[Path, str]:
    """Return the reason by path for each file that a training leaves out."""
    reasons = {}
    for item in inspected:
        reason = item.left_out
        if not reason and item.recording.vocalization_type in chosen.left_out:
            reason = type_reason(item.recording, rules.types, rules.type_set)
        if reason:
            reasons[item.recording.path] = reason
    return reasons


def _reasons_to_leave_out(
    found: Sequence[Recording], facts: Mapping[Path, FileFacts], rules: TrainingRules
) -> tuple[dict[str, str], dict[str, str]]:
    """Return reasons, and names of files with the same sound, by id; in the order of `prepare_recordings`."""
    reasons, duplicate_of = {}, {}
    of_sound: dict[str, list[Recording]] = defaultdict(list)
    for recording in found:
        fact = facts[recording.path]
        if recording.vocalization_type not in rules.types:
            reasons[recording.id] = type_reason(recording, rules.types, rules.type_set)
            continue
        reasons[recording.id] = fact.reason
        if not fact.reason:
            of_sound[fact.sound if fact.duration_s >= MIN_COMPARED_S else fact.content].append(recording)
    for same in of_sound.values():
        agree = len({recording.vocalization_type for recording in same}) == 1
        for recording in same[1:] if agree else same:  # of duplicates with different types none is kept
            others = same[:1] if agree else [other for other in same if other is not recording]
            equal = facts[recording.path].content == facts[same[0].path].content
            reasons[recording.id] = TWO_TYPES if not agree else DUPLICATE if equal else SAME_SOUND
            duplicate_of[recording.id] = ", ".join(f"{other.path.parent.name}/{other.path.name}" for other in others)
    return reasons, duplicate_of


def _choose_types(species: Species, usable: Sequence[Recording], rules: TrainingRules) -> tuple[ChosenTypes, str]:
    """Choose the types as a training does, and return the reason why it could not train, empty when it could."""
    try:
        chosen = choose_types(usable, rules.types, dict(rules.shares), rules.min_recordings, rules.seed)
    except DataError as error:
        types, left_out = usable_types(usable, rules.types, rules.min_recordings)
        return ChosenTypes([], types, {}, left_out), str(error)
    if len(chosen.types) >= 2:
        return chosen, ""
    enough = f"only {chosen.types[0]} has" if chosen.types else "no type has"
    required = f"at least {rules.min_recordings} recordings by {len(SPLITS)} recordists"
    return chosen, f"{species.slug}: two types are needed to train and {enough} {required}"


def _oddities(fact: FileFacts, rules: TrainingRules, sound_repeated: bool) -> tuple[str, ...]:
    if fact.reason:
        return ()
    warning = getattr(fact, "warning", "")
    oddities = {
        "clipped": fact.clipped_share > CLIPPED_SHARE,
        "cut off at the end": fact.cut and "cut off" not in warning,
        warning: bool(warning),
        f"too short (below {SHORT_SHARE * rules.segment_s:g} s)": fact.duration_s < SHORT_SHARE * rules.segment_s,
        "the same sound in two different files": sound_repeated,
    }
    return tuple(oddity for oddity, present in oddities.items() if present)


def _type_overview(name: str, inspected: Sequence[InspectedRecording], why_not: str) -> TypeOverview:
    of_type = [item for item in inspected if item.recording.vocalization_type == name]
    usable = [item for item in of_type if not item.left_out]
    splits = Counter(item.split for item in usable if item.split)
    return TypeOverview(
        found=len(of_type),
        usable=len(usable),
        recordists=len({group_of(item.recording) for item in usable if item.recording.recordist}),
        unnamed=sum(not item.recording.recordist for item in usable),
        duration_s=sum(item.facts.duration_s for item in usable),
        segments=sum(item.segments for item in usable),
        splits={split: splits[split] for split in SPLITS},
        why_not=why_not,
    )
