"""Prevent train/test leakage: remove duplicate recordings before splitting, and assert that no recording, recordist or
sound is in two splits.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from birdnet_nl.audio.cache import CachedMel, UnusableFile
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.near_duplicates import NearDuplicate
from birdnet_nl.data.outlines import HeldBlocks
from birdnet_nl.data.splits import group_of
from birdnet_nl.data.stored_duplicates import stored_near_duplicates
from birdnet_nl.data.training_rules import MIN_COMPARED_S
from birdnet_nl.recordings.recording import Recording


def remove_duplicates(
    recordings: Sequence[Recording],
    mels: Mapping[str, CachedMel],
    params: MelParams,
    held: HeldBlocks | None = None,
) -> tuple[list[Recording], list[UnusableFile], list[NearDuplicate]]:
    """Return the recordings without duplicates, the files left out with the reason, and the near-duplicate pairs.

    Of duplicates with the same type the longest is kept; of duplicates with different types none is. Files with equal
    content are found among all recordings, near-duplicates within a species. `held` keeps outlines for another search.
    """
    kept, equal = _keep_one_per_sound(
        recordings, lambda recording: mels[recording.id].content, mels, "has the same content as"
    )
    pairs = near_duplicates_within_species(kept, mels, params, held=held)
    sound_id = _connect(pairs)
    kept, near = _keep_one_per_sound(
        kept, lambda recording: sound_id.get(recording.id, recording.id), mels, "holds the same sound as"
    )
    return kept, [*equal, *near], pairs


def near_duplicates_within_species(
    recordings: Sequence[Recording],
    mels: Mapping[str, CachedMel],
    params: MelParams,
    new: Collection[str] | None = None,
    held: HeldBlocks | None = None,
) -> list[NearDuplicate]:
    """Return the pairs of recordings of the same species; with `new` only those with at least one of these ids."""
    of_species: dict[str, dict[str, CachedMel]] = defaultdict(dict)
    for recording in recordings:
        if mels[recording.id].frames >= MIN_COMPARED_S * params.frames_per_s:
            of_species[recording.species][recording.id] = mels[recording.id]
    return [pair for own in of_species.values() for pair in stored_near_duplicates(own, params, new, held)]


def _connect(pairs: Iterable[NearDuplicate]) -> dict[str, str]:
    """Return one id, the smallest, for all recordings that are connected by pairs: by the id of each recording."""
    smaller: dict[str, str] = {}  # by id: a connected id that is smaller, or itself

    def smallest(id: str) -> str:
        while (next_id := smaller.setdefault(id, id)) != id:
            smaller[id] = smaller[next_id]  # halves the way of the next search
            id = next_id
        return id

    for pair in pairs:
        first, second = sorted((smallest(pair.first), smallest(pair.second)))
        smaller[second] = first
    return {id: smallest(id) for id in smaller}


def _keep_one_per_sound(
    recordings: Sequence[Recording],
    sound_of: Callable[[Recording], str],
    mels: Mapping[str, CachedMel],
    relation: str,
) -> tuple[list[Recording], list[UnusableFile]]:
    """Keep the longest recording of each sound, or none when the types differ; the others with the reason."""
    of_sound: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        of_sound[sound_of(recording)].append(recording)
    kept, left_out = [], []
    for same in of_sound.values():
        if len({recording.vocalization_type for recording in same}) == 1:
            longest = max(same, key=lambda recording: mels[recording.id].frames)
            kept.append(longest)
            reason = f"{relation} {longest.path.name}"
            left_out += [UnusableFile(recording.path, reason) for recording in same if recording is not longest]
        else:
            names = ", ".join(f"{recording.vocalization_type}/{recording.path.name}" for recording in same)
            reason = f"the same sound has two types ({names})"
            left_out += [UnusableFile(recording.path, reason) for recording in same]
    return kept, left_out


def remove_further_duplicates(
    further: Sequence[Recording], known: Sequence[Recording], mels: Mapping[str, CachedMel], params: MelParams
) -> tuple[list[Recording], list[UnusableFile]]:
    """Return the recordings of `further` that hold no sound of `known`, each sound once, and the files left out.

    A recording that is connected to one of `known` by near-duplicates among `further` is left out too. `mels` has the
    mels of both.
    """
    names = {mels[recording.id].content: recording.path.name for recording in known}
    left_out = [
        UnusableFile(recording.path, f"has the same content as {names[mels[recording.id].content]}")
        for recording in further
        if mels[recording.id].content in names
    ]
    kept = [recording for recording in further if mels[recording.id].content not in names]
    kept, equal = _keep_one_per_sound(
        kept, lambda recording: mels[recording.id].content, mels, "has the same content as"
    )
    species, ids = {recording.species for recording in kept}, {recording.id for recording in kept}
    of_species = [recording for recording in known if recording.species in species]
    sound_id = _connect(near_duplicates_within_species([*kept, *of_species], mels, params, ids))
    known_sounds = {sound_id[recording.id]: recording.path.name for recording in known if recording.id in sound_id}

    def sound_of(recording: Recording) -> str:
        return sound_id.get(recording.id, recording.id)

    left_out += [
        UnusableFile(recording.path, f"holds the same sound as {known_sounds[sound_of(recording)]}")
        for recording in kept
        if sound_of(recording) in known_sounds
    ]
    kept = [recording for recording in kept if sound_of(recording) not in known_sounds]
    kept, near = _keep_one_per_sound(kept, sound_of, mels, "holds the same sound as")
    return kept, [*left_out, *equal, *near]


def assert_disjoint(
    recordings: Sequence[Recording],
    mels: Mapping[str, CachedMel],
    near_duplicates: Iterable[NearDuplicate],
    ids_of_split: Mapping[str, Iterable[str]],
) -> None:
    """Raise `AssertionError` when two splits share a recording, a recordist or a sound.

    `ids_of_split` gives the recording ids that are used in each split.
    """
    by_id = {recording.id: recording for recording in recordings}
    sounds_of: dict[str, list[str]] = defaultdict(list)
    for pair in near_duplicates:
        for id in (pair.first, pair.second):
            sounds_of[id].append(f"sound:{pair.first} and {pair.second}")
    splits_of: dict[str, set[str]] = defaultdict(set)
    for split, ids in ids_of_split.items():
        for id in ids:
            for name in (f"recording:{id}", group_of(by_id[id]), f"content:{mels[id].content}", *sounds_of[id]):
                splits_of[name].add(split)
    if leaking := sorted(name for name, splits in splits_of.items() if len(splits) > 1):
        raise AssertionError(f"split leaks: {', '.join(leaking[:3])} in more than one split")
