"""Recordings to evaluate a trained network on: of its types, not seen in training, decodable, without duplicates."""

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
