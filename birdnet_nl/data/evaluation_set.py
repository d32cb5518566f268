"""Recordings to judge a finished network with: of types it knows, not met before, decodable, each sound once."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from birdnet_nl.audio.cache import CachedMel, UnusableFile
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.deduplicate import remove_duplicates
from birdnet_nl.data.prepare import MakeMels
from birdnet_nl.recordings.recording import Recording


@dataclass(frozen=True)
class EvaluationSet:
    """What is judged and what was left out.

    Attributes:
        recordings: with mels, which are by recording id.
        unclear: how many recordings for each type text that is not plainly one type.
        unknown_types: how many of each type that the network does not know.
        known: recordings met in training, and how they were recognised; judged all the same when that was asked for.
        unusable: files that gave no mel, or the same sound as another.
    """

    recordings: list[Recording]
    mels: dict[str, CachedMel]
    unclear: Counter
    unknown_types: Counter
    known: list[tuple[Recording, str]]
    unusable: list[UnusableFile]


def build_evaluation_set(
    found: Sequence[Recording],
    types: Sequence[str],
    reason_seen: Callable[[Recording], str],
    keep_seen: bool,
    make_mels: MakeMels,
    mel: MelParams,
) -> EvaluationSet:
    """`reason_seen` tells how a recording was met in training, or nothing; such are left out unless `keep_seen`."""
    plain = [recording for recording in found if recording.vocalization_type in types]
    known = [(recording, why) for recording in plain if (why := reason_seen(recording))]
    left_out = set() if keep_seen else {recording.id for recording, _ in known}
    mels, unusable = make_mels([recording for recording in plain if recording.id not in left_out])
    recordings, copies, _ = remove_duplicates([recording for recording in plain if recording.id in mels], mels, mel)
    kinds = Counter(recording.vocalization_type for recording in found if recording.vocalization_type is not None)
    return EvaluationSet(
        recordings=recordings,
        mels={recording.id: mels[recording.id] for recording in recordings},
        unclear=Counter(r.type_text or "(no type)" for r in found if r.vocalization_type is None),
        unknown_types=Counter({kind: count for kind, count in kinds.items() if kind not in types}),
        known=known,
        unusable=[*unusable, *copies],
    )
