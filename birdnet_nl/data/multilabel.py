"""Recordings of several types ("call, song"), which training may learn as all of them and no test ever judges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.near_duplicates import find_near_duplicates
from birdnet_nl.data.prepare import MakeMels, PreparedRecordings
from birdnet_nl.data.splits import group_of
from birdnet_nl.data.training_rules import MIN_COMPARED_S
from birdnet_nl.recordings.labels import types_in
from birdnet_nl.recordings.recording import Recording


@dataclass(frozen=True)
class MultilabelRecordings:
    """Recordings for training alone, with their mels and the types each one names, both by recording id."""

    recordings: list[Recording] = field(default_factory=list)
    mels: dict[str, CachedMel] = field(default_factory=dict)
    types: dict[str, list[str]] = field(default_factory=dict)


def find_multilabel(
    found: Sequence[Recording], prepared: PreparedRecordings, make_mels: MakeMels, mel: MelParams, flight_call: str
) -> MultilabelRecordings:
    """Recordings not plainly of one type whose plain types the network all knows.

    Nobody who recorded for validation or test is among them, and no sound that is among `prepared` already.
    """
    judged = {group_of(one) for one in prepared.recordings if prepared.splits[one.id] != "train"}
    types = {
        recording.id: sorted(types_in(recording.type_text, flight_call=flight_call), key=prepared.types.index)
        for recording in found
        if recording.vocalization_type is None
        and group_of(recording) not in judged
        and types_in(recording.type_text, flight_call=flight_call) <= set(prepared.types)
    }
    wanted = [recording for recording in found if types.get(recording.id)]
    mels, _ = make_mels(wanted) if wanted else ({}, [])
    wanted = [one for one in wanted if one.id in mels]
    known = _known_sounds(wanted, mels, prepared, mel)
    kept = [one for one in wanted if one.id not in known]
    return MultilabelRecordings(kept, {one.id: mels[one.id] for one in kept}, {one.id: types[one.id] for one in kept})


def _known_sounds(
    wanted: Sequence[Recording], mels: Mapping[str, CachedMel], prepared: PreparedRecordings, params: MelParams
) -> set[str]:
    """Ids of those whose sound is that of a recording of one type, as a file or as an excerpt or another encoding."""
    contents = {found.content for found in prepared.mels.values()}
    known = {one.id for one in wanted if mels[one.id].content in contents}
    min_frames = MIN_COMPARED_S * params.frames_per_s
    for species in {one.species for one in wanted}:
        own = {one.id: mels[one.id] for one in wanted if one.species == species}
        others = {one.id: prepared.mels[one.id] for one in prepared.recordings if one.species == species}
        loaded = {id: found.load() for id, found in (own | others).items() if found.frames >= min_frames}
        for pair in find_near_duplicates(loaded, params):
            known |= {
                id
                for id, other in ((pair.first, pair.second), (pair.second, pair.first))
                if id in own and other in others
            }
    return known
