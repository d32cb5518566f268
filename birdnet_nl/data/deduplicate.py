"""That no sound is trained on and judged: copies are left out before the splits, and the splits are looked at after."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from birdnet_nl.audio.cache import CachedMel, UnusableFile
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.near_duplicates import NearDuplicate, find_near_duplicates
from birdnet_nl.data.splits import group_of
from birdnet_nl.data.training_rules import MIN_COMPARED_S
from birdnet_nl.recordings.recording import Recording


def remove_duplicates(
    recordings: Sequence[Recording], mels: Mapping[str, CachedMel], params: MelParams
) -> tuple[list[Recording], list[UnusableFile], list[NearDuplicate]]:
    """Recordings of which no two hold the same sound, files left out with the reason, and the near-duplicates found.

    The same sound under two names could be on both sides of the split. Of copies that agree on the type the longest is
    kept; of copies that do not, none. Equal files are found among all recordings, near-duplicates within a species.
    """
    kept, left_out = _one_of_each(
        recordings, lambda recording: mels[recording.id].content, mels, "has the same content as"
    )
    same = [pair for of_species in _by_species(kept) for pair in _same_sounds(of_species, mels, params)]
    root = _joined(same)
    kept, near = _one_of_each(
        kept, lambda recording: root.get(recording.id, recording.id), mels, "holds the same sound as"
    )
    return kept, [*left_out, *near], same


def _by_species(recordings: Sequence[Recording]) -> Iterable[list[Recording]]:
    of_species: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        of_species[recording.species].append(recording)
    return of_species.values()


def _same_sounds(recordings: Sequence[Recording], mels: Mapping[str, CachedMel], params: MelParams) -> list[NearDuplicate]:
    min_frames = MIN_COMPARED_S * params.frames_per_s
    found = {recording.id: mels[recording.id] for recording in recordings}
    return find_near_duplicates({id: mel.load() for id, mel in found.items() if mel.frames >= min_frames}, params)


def _joined(same: Iterable[NearDuplicate]) -> dict[str, str]:
    """One id for all recordings that pairs connect, by the id of each of them."""
    groups: dict[str, set[str]] = {}
    for pair in same:
        group = groups.get(pair.first, {pair.first}) | groups.get(pair.second, {pair.second})
        groups |= dict.fromkeys(group, group)
    return {id: min(group) for id, group in groups.items()}


def _one_of_each(
    recordings: Sequence[Recording],
    sound_of: Callable[[Recording], str],
    mels: Mapping[str, CachedMel],
    words: str,
) -> tuple[list[Recording], list[UnusableFile]]:
    """One recording of each sound, or none where its copies do not agree on the type; the others with the reason."""
    copies: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        copies[sound_of(recording)].append(recording)
    kept, left_out = [], []
    for same in copies.values():
        if len({recording.vocalization_type for recording in same}) == 1:
            longest = max(same, key=lambda recording: mels[recording.id].frames)
            kept.append(longest)
            left_out += [
                UnusableFile(copy.path, f"{words} {longest.path.name}") for copy in same if copy is not longest
            ]
        else:
            names = ", ".join(f"{copy.vocalization_type}/{copy.path.name}" for copy in same)
            left_out += [UnusableFile(copy.path, f"the same sound has two types ({names})") for copy in same]
    return kept, left_out


def assert_disjoint(
    recordings: Sequence[Recording],
    mels: Mapping[str, CachedMel],
    same: Iterable[NearDuplicate],
    ids_of_split: Mapping[str, Iterable[str]],
) -> None:
    """Refuse splits, given as the ids that are really in them, that share a recording, a recordist or a sound."""
    by_id = {recording.id: recording for recording in recordings}
    near = [(f"sound:{pair.first} and {pair.second}", {pair.first, pair.second}) for pair in same]
    sides: dict[str, set[str]] = defaultdict(set)
    for split, ids in ids_of_split.items():
        for id in ids:
            named = (f"recording:{id}", group_of(by_id[id]), f"content:{mels[id].content}")
            for what in (*named, *(name for name, pair in near if id in pair)):
                sides[what].add(split)
    leaking = sorted(what for what, found in sides.items() if len(found) > 1)
    if leaking:
        raise AssertionError(f"split leaks: {', '.join(leaking[:3])} on more than one side")
