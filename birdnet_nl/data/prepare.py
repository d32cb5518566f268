"""Preparation of recordings: usable files, duplicates removed; for training also types, splits; or to evaluate on."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from birdnet_nl.audio.cache import CachedMel, UnusableFile, cache_mels, cache_spectrograms
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.deduplicate import remove_duplicates
from birdnet_nl.data.near_duplicates import NearDuplicate
from birdnet_nl.data.outlines import HeldBlocks
from birdnet_nl.data.splits import SPLITS, InheritedSplits, assign_test_source
from birdnet_nl.data.training_rules import ChosenTypes, choose_types, usable_types
from birdnet_nl.recordings.file_summary import format_counts
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import DataError, TooFewRecordingsError

MakeMels = Callable[[Sequence[Recording]], tuple[dict[str, CachedMel], list[UnusableFile]]]


def mel_maker(
    spectrograms: bool,
    params: MelParams,
    cache_dir: Path,
    segment_s: float,
    workers: int,
    on_progress: Callable[[], None],
) -> MakeMels:
    """Return the function that computes mels with `workers` threads, or reads the original's `spectrograms`."""
    settings = {"params": params, "cache_dir": cache_dir, "on_progress": on_progress}
    if spectrograms:
        return partial(cache_spectrograms, segment_s=segment_s, **settings)
    return partial(cache_mels, workers=workers, **settings)


@dataclass(frozen=True)
class PreparedRecordings:
    """Recordings of a run with their splits, and what was left out and why.

    Attributes:
        recordings: decodable recordings of exactly one type, without duplicates.
        types: types of the network, in the order of its outputs.
        splits: train, val or test by recording id.
        mels: mel by recording id.
        unclear: number of recordings left out by type text, for texts that are not plainly one type.
        unusable: files without a mel, and duplicates.
        left_out_types: reason by type, with the counts, for types with too few recordings.
        near_duplicates: pairs that were found; at most one recording of each pair is in `recordings`.
        extra: ids of the recordings of `data.extra_roots`, which are for training only.
    """

    recordings: list[Recording]
    types: list[str]
    splits: dict[str, str]
    mels: dict[str, CachedMel]
    unclear: Counter = field(default_factory=Counter)
    unusable: list[UnusableFile] = field(default_factory=list)
    left_out_types: dict[str, str] = field(default_factory=dict)
    near_duplicates: list[NearDuplicate] = field(default_factory=list)
    extra: frozenset[str] = frozenset()

    @property
    def warnings(self) -> dict[Path, str]:
        """Files of which only a part is used, or that were changed to be used, and what."""
        return file_warnings(self.recordings, self.mels)

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change when a recording, its content, its type or its split changes."""
        rows = sorted((r.id, r.vocalization_type, self.splits[r.id], self.mels[r.id].content) for r in self.recordings)
        return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


def file_warnings(recordings: Sequence[Recording], mels: Mapping[str, CachedMel]) -> dict[Path, str]:
    return {recording.path: warning for recording in recordings if (warning := mels[recording.id].warning)}


def prepare_recordings(
    found: Sequence[Recording],
    types: Sequence[str],
    make_mels: MakeMels,
    mel: MelParams,
    shares: dict[str, float],
    min_recordings: int,
    seed: int,
    subject: str,
    folds: int | None = None,
    fold: int | None = None,
    inherited: InheritedSplits | None = None,
    held: HeldBlocks | None = None,
    final: bool = False,
    test_source: str | None = None,
) -> PreparedRecordings:
    """Compute mels, leave out what cannot be used and assign splits.

    `subject` is the slug of the species, or of the pool of species, in error messages. With `inherited` splits every
    type is kept, however few recordings it has, because the base run was trained on it. `held` keeps outlines for
    `find_multilabel`. `final` puts all recordings of `types` in the training split. With a `test_source` its recordings
    are tested on. Raises `DataError` when fewer than two types remain.
    """
    plain = [recording for recording in found if recording.vocalization_type in types]
    unclear = Counter(r.type_text or "(no type)" for r in found if r.vocalization_type is None)
    folder = _common_folder(found)
    if not plain:
        texts = ", ".join(f"{text} {count}" for text, count in unclear.most_common(4))
        raise DataError(
            f"{subject}: no recording in {folder} is plainly one of {', '.join(types)} (found: {texts}); "
            f"put them in folders of these names or give their types in recordings.csv"
        )
    mels, unusable = make_mels(plain)
    if not mels:
        reasons = Counter(file.reason for file in unusable)
        others = f"; in all: {format_counts(reasons)}" if len(reasons) > 1 else ""
        raise DataError(
            f"{subject}: none of the {len(plain)} files in {folder} can be used "
            f"(first: {unusable[0].path.name} {unusable[0].reason}{others}); repair or replace them"
        )
    plain = [recording for recording in plain if recording.id in mels]
    usable, duplicates, near = remove_duplicates(plain, mels, mel, held)
    if final:
        chosen = ChosenTypes(usable, list(types), {recording.id: "train" for recording in usable}, {})
    elif test_source is not None:
        chosen, same_recordist = _leave_source_out(usable, types, shares, min_recordings, seed, test_source)
        duplicates = [*duplicates, *same_recordist]
    elif inherited is None:
        chosen = choose_types(usable, types, shares, min_recordings, seed, folds, fold)
    else:
        chosen = ChosenTypes(usable, list(types), inherited.assign(usable, shares, seed), {})
        _check_empty_splits(chosen.splits, subject)
    if len(chosen.types) < 2:
        parts = folds or len(SPLITS)
        counts = Counter(recording.vocalization_type for recording in usable)
        numbers = ", ".join(f"{name} {counts[name]}" for name in types)
        raise TooFewRecordingsError(
            f"{subject}: fewer than two types have enough recordings in {folder} ({numbers}, several types or unclear "
            f"{unclear.total()}; needed: at least {max(min_recordings, parts)} of a type, by {parts} recordists or "
            f"of unknown recordist); download more, or try data=demo"
        )
    return PreparedRecordings(
        recordings=chosen.recordings,
        types=chosen.types,
        splits=chosen.splits,
        mels={recording.id: mels[recording.id] for recording in chosen.recordings},
        unclear=unclear,
        unusable=[*unusable, *duplicates],
        left_out_types=chosen.left_out,
        near_duplicates=near,
    )


def _leave_source_out(
    usable: Sequence[Recording],
    types: Sequence[str],
    shares: dict[str, float],
    min_recordings: int,
    seed: int,
    test_source: str,
) -> tuple[ChosenTypes, list[UnusableFile]]:
    """Choose the types that the other sources suffice for, and assign the splits; also returns who was left out."""
    others = [recording for recording in usable if recording.source != test_source]
    kept_types, left_out = usable_types(others, types, min_recordings, parts=2)
    kept = [recording for recording in usable if recording.vocalization_type in kept_types]
    splits = assign_test_source(kept, test_source, shares, seed)
    reason = f"its recordist is in the source {test_source}, which is tested on"
    same_recordist = [UnusableFile(recording.path, reason) for recording in kept if recording.id not in splits]
    chosen = [recording for recording in kept if recording.id in splits]
    return ChosenTypes(chosen, kept_types, splits, left_out), same_recordist


def without_recordings(
    prepared: PreparedRecordings, ids: Collection[str], reason: str, subject: str
) -> PreparedRecordings:
    """Leave out the recordings in `ids` as unusable for `reason`; the splits of the others stay the same.

    Raises `DataError` where a type then has no recording in a split.
    """
    kept = [recording for recording in prepared.recordings if recording.id not in ids]
    left_out = [UnusableFile(r.path, reason) for r in prepared.recordings if r.id in ids]
    before, after = (
        {(recording.vocalization_type, prepared.splits[recording.id]) for recording in recordings}
        for recordings in (prepared.recordings, kept)
    )
    for name, split in sorted(before - after):
        raise DataError(
            f"{subject}: no {name} recording is left for {split} without the {len(left_out)} that cannot be used "
            f"(first: {left_out[0].path.name}: {reason}); add recordings, or take another trainer, such as turbo"
        )
    return replace(
        prepared,
        recordings=kept,
        splits={recording.id: prepared.splits[recording.id] for recording in kept},
        mels={recording.id: prepared.mels[recording.id] for recording in kept},
        unusable=[*prepared.unusable, *left_out],
    )


def _check_empty_splits(splits: Mapping[str, str], subject: str) -> None:
    empty = [split for split in SPLITS if split not in splits.values()]
    if empty:
        raise DataError(
            f"{subject}: none of its {len(splits)} recordings is for {' and none for '.join(empty)} when those seen in "
            "the training of the base run keep their split, so a head cannot be trained and evaluated; evaluate the "
            f"base run instead: birdnet-nl evaluate <base> --species {subject}"
        )


def _common_folder(recordings: Sequence[Recording]) -> Path:
    """Return the species folder, which holds the type folders, or with several species the folder that holds those."""
    folder = recordings[0].path.parent.parent
    return folder if len({recording.species for recording in recordings}) == 1 else folder.parent


@dataclass(frozen=True)
class EvaluationSet:
    """Recordings that are evaluated, and recordings that are left out.

    Attributes:
        recordings: recordings that are evaluated.
        mels: mel by recording id.
        unclear: number of recordings by type text, for texts that are not plainly one type.
        unknown_types: number of recordings by type, for types that are no output of the network.
        seen: recordings seen in training and how each was recognised; also those that are evaluated on request.
        unusable: files without a mel, and duplicates.
    """

    recordings: list[Recording]
    mels: dict[str, CachedMel]
    unclear: Counter
    unknown_types: Counter
    seen: list[tuple[Recording, str]]
    unusable: list[UnusableFile]


def build_evaluation_set(
    found: Sequence[Recording],
    types: Sequence[str],
    reason_seen: Callable[[Recording], str],
    keep_seen: bool,
    make_mels: MakeMels,
    mel: MelParams,
) -> EvaluationSet:
    """Select the recordings to evaluate on.

    `reason_seen` returns how a recording is known to be seen in training, or an empty text; such recordings are left
    out unless `keep_seen`.
    """
    plain = [recording for recording in found if recording.vocalization_type in types]
    seen = [(recording, reason) for recording in plain if (reason := reason_seen(recording))]
    left_out = set() if keep_seen else {recording.id for recording, _ in seen}
    mels, unusable = make_mels([recording for recording in plain if recording.id not in left_out])
    usable = [recording for recording in plain if recording.id in mels]
    recordings, duplicates, _ = remove_duplicates(usable, mels, mel)
    found_types = [recording.vocalization_type for recording in found if recording.vocalization_type is not None]
    return EvaluationSet(
        recordings=recordings,
        mels={recording.id: mels[recording.id] for recording in recordings},
        unclear=Counter(r.type_text or "(no type)" for r in found if r.vocalization_type is None),
        unknown_types=Counter(name for name in found_types if name not in types),
        seen=seen,
        unusable=[*unusable, *duplicates],
    )
