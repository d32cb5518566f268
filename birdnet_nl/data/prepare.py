"""From recordings on disk to a set that can be trained on and judged: usable files, enough of each type, splits."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from birdnet_nl.audio.cache import CachedMel, UnusableFile, cache_mels
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.audio.spectrograms import cache_spectrograms
from birdnet_nl.data.deduplicate import remove_duplicates
from birdnet_nl.data.inherited_splits import InheritedSplits
from birdnet_nl.data.near_duplicates import NearDuplicate
from birdnet_nl.data.splits import SPLITS
from birdnet_nl.data.type_choice import ChosenTypes, choose_types
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
    """What makes mels of recordings: by as many threads as `workers`, or of the original's `spectrograms`."""
    settings = {"params": params, "cache_dir": cache_dir, "on_progress": on_progress}
    if spectrograms:
        return partial(cache_spectrograms, segment_s=segment_s, **settings)
    return partial(cache_mels, workers=workers, **settings)


@dataclass(frozen=True)
class PreparedRecordings:
    """What a run trains on and what it left out, with the reason.

    Attributes:
        recordings: of one plain type each, decodable, no two of the same sound.
        types: the types the network tells apart, in the order of its outputs.
        splits: train, val or test by recording id.
        mels: by recording id.
        unclear: how many recordings were left out for each type text that is not plainly one type.
        unusable: files that gave no mel.
        left_out_types: types with too few recordings, and the counts.
        same_sounds: pairs of near-duplicates that were found; at most one of each is among `recordings`.
    """

    recordings: list[Recording]
    types: list[str]
    splits: dict[str, str]
    mels: dict[str, CachedMel]
    unclear: Counter = field(default_factory=Counter)
    unusable: list[UnusableFile] = field(default_factory=list)
    left_out_types: dict[str, str] = field(default_factory=dict)
    near_duplicates: list[NearDuplicate] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change when a recording, its content, its type or its split changes."""
        rows = sorted((r.id, r.vocalization_type, self.splits[r.id], self.mels[r.id].content) for r in self.recordings)
        return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


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
) -> PreparedRecordings:
    """Make mels, leave out what cannot be used, assign splits; raises `DataError` when fewer than two types remain.

    `subject` is the species, or the pool of species, as errors name it. With `inherited` splits all types are kept,
    however few recordings they have: what is known of them was learned elsewhere.
    """
    plain = [recording for recording in found if recording.vocalization_type in types]
    unclear = Counter(r.type_text or "(no type)" for r in found if r.vocalization_type is None)
    where = _common_folder(found)
    if not plain:
        seen = ", ".join(f"{text} {count}" for text, count in unclear.most_common(4))
        raise DataError(
            f"{subject}: no recording in {where} is plainly one of {', '.join(types)} (found: {seen}); "
            f"put them in folders of these names or give their types in recordings.csv"
        )
    mels, unusable = make_mels(plain)
    if not mels:
        raise DataError(
            f"{subject}: none of the {len(plain)} files in {where} can be used "
            f"(first: {unusable[0].path.name} {unusable[0].reason}); fetch them again"
        )
    usable, copies, same = remove_duplicates([recording for recording in plain if recording.id in mels], mels, mel)
    if inherited is None:
        chosen = choose_types(usable, types, shares, min_recordings, seed, folds, fold)
    else:
        chosen = ChosenTypes(usable, list(types), inherited.assign(usable, shares, seed), {})
        _check_empty_splits(chosen.splits, subject)
    if len(chosen.types) < 2:
        parts = folds or len(SPLITS)
        counts = Counter(recording.vocalization_type for recording in usable)
        numbers = ", ".join(f"{name} {counts[name]}" for name in types)
        raise TooFewRecordingsError(
            f"{subject}: fewer than two types have enough recordings in {where} ({numbers}, several or unclear "
            f"{unclear.total()}; needed: at least {max(min_recordings, parts)} of a type, by {parts} recordists or "
            f"of unknown recordist); download more, or try data=demo"
        )
    return PreparedRecordings(
        recordings=chosen.recordings,
        types=chosen.types,
        splits=chosen.splits,
        mels={recording.id: mels[recording.id] for recording in chosen.recordings},
        unclear=unclear,
        unusable=[*unusable, *copies],
        left_out_types=chosen.left_out,
        near_duplicates=same,
    )


def _check_empty_splits(splits: Mapping[str, str], subject: str) -> None:
    empty = [split for split in SPLITS if split not in splits.values()]
    if empty:
        raise DataError(
            f"{subject}: none of its {len(splits)} recordings is for {' and none for '.join(empty)} when those the "
            "trunk learned from keep their places, so a head cannot be trained and judged; the trunk answers for it: "
            f"birdnet-nl evaluate <trunk> --species {subject}"
        )


def _common_folder(recordings: Sequence[Recording]) -> Path:
    """The species folder, two levels above a file in a type folder; of several species the folder they lie in."""
    folder = recordings[0].path.parent.parent
    return folder if len({recording.species for recording in recordings}) == 1 else folder.parent
