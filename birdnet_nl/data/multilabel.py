"""Multi-label recordings ("call, song"): used for training with every type they name, and never for evaluation."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch

from birdnet_nl.audio.cache import CachedMel, UnusableFile
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.crops import training_shares
from birdnet_nl.data.deduplicate import near_duplicates_within_species
from birdnet_nl.data.outlines import HeldBlocks
from birdnet_nl.data.prepare import MakeMels, PreparedRecordings, file_warnings
from birdnet_nl.data.splits import group_of
from birdnet_nl.recordings.labels import types_in
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.type_set import TypeSet


@dataclass(frozen=True)
class MultilabelRecordings:
    """Recordings for training only, with their mels and their types by recording id, and files that are not used."""

    recordings: list[Recording] = field(default_factory=list)
    mels: dict[str, CachedMel] = field(default_factory=dict)
    types: dict[str, list[str]] = field(default_factory=dict)
    unusable: list[UnusableFile] = field(default_factory=list)

    @property
    def warnings(self) -> dict[Path, str]:
        """Files of which only a part is used, or that were changed to be used, and what."""
        return file_warnings(self.recordings, self.mels)

    def without(self, ids: Collection[str], reason: str) -> "MultilabelRecordings":
        """Leave out the recordings in `ids` as unusable for `reason`."""
        kept = [recording for recording in self.recordings if recording.id not in ids]
        left_out = [UnusableFile(recording.path, reason) for recording in self.recordings if recording.id in ids]
        return MultilabelRecordings(
            kept,
            {recording.id: self.mels[recording.id] for recording in kept},
            {recording.id: self.types[recording.id] for recording in kept},
            [*self.unusable, *left_out],
        )


class MultilabelBatch(NamedTuple):
    """Embeddings of all multi-label recordings.

    Attributes:
        segments: embeddings of the segments, float16 [segments, 1 + dimensions].
        shares: share of each type in each recording, equal for the types it names, times the weight of the recording,
            float32 [recordings, types].
        recordings: index of the recording of each segment, int64 [segments].
    """

    segments: torch.Tensor
    shares: torch.Tensor
    recordings: torch.Tensor


def find_multilabel(
    recordings: Sequence[Recording],
    prepared: PreparedRecordings,
    make_mels: MakeMels,
    mel: MelParams,
    type_set: TypeSet,
    held: HeldBlocks | None = None,
    annotated_types: Mapping[str, Collection[str]] | None = None,
) -> MultilabelRecordings:
    """Select the recordings that name several types, or one beside another sound, all of them types of the network.

    Recordings by recordists of the validation and test splits are left out, and so are duplicates of `prepared`, whose
    outlines are in `held` where they were computed for the search among themselves. `annotated_types` gives the types
    of annotated recordings, by id.
    """
    held_out = {group_of(recording) for recording in prepared.recordings if prepared.splits[recording.id] != "train"}
    names = {
        recording.id: frozenset((annotated_types or {}).get(recording.id) or types_in(recording.type_text, type_set))
        for recording in recordings
        if recording.vocalization_type is None and group_of(recording) not in held_out
    }
    candidates = [r for r in recordings if names.get(r.id) and names[r.id] <= set(prepared.types)]
    mels, unusable = make_mels(candidates)
    candidates = [recording for recording in candidates if recording.id in mels]
    duplicates = _duplicates_of_prepared(candidates, mels, prepared, mel, held)
    kept = [recording for recording in candidates if recording.id not in duplicates]
    types = {recording.id: sorted(names[recording.id], key=prepared.types.index) for recording in kept}
    reason = "holds the same sound as a recording of one type"
    same = [UnusableFile(recording.path, reason) for recording in candidates if recording.id in duplicates]
    return MultilabelRecordings(kept, {id: mels[id] for id in types}, types, [*unusable, *same])


def _duplicates_of_prepared(
    candidates: Sequence[Recording],
    mels: Mapping[str, CachedMel],
    prepared: PreparedRecordings,
    params: MelParams,
    held: HeldBlocks | None,
) -> set[str]:
    """Return the ids of candidates with the content of a prepared recording, or a near-duplicate of one."""
    contents = {mel.content for mel in prepared.mels.values()}
    duplicates = {recording.id for recording in candidates if mels[recording.id].content in contents}
    species = {recording.species for recording in candidates}
    others = [recording for recording in prepared.recordings if recording.species in species]
    all_mels, candidate_ids = {**prepared.mels, **mels}, {recording.id for recording in candidates}
    for pair in near_duplicates_within_species([*candidates, *others], all_mels, params, candidate_ids, held):
        new = {pair.first, pair.second} - prepared.mels.keys()
        duplicates |= new if len(new) == 1 else set()
    return duplicates


def multilabel_batch_of(
    multilabel: MultilabelRecordings,
    embeddings: Mapping[str, np.ndarray],
    types: Sequence[str],
    weights: Mapping[str, float] = MappingProxyType({}),
) -> MultilabelBatch | None:
    """Collect all of `multilabel` with their embeddings [windows, 1 + dimensions]; None when there are none.

    `weights` holds the weights, by id, of recordings that do not weigh 1.
    """
    if not multilabel.recordings:
        return None
    windows = [embeddings[recording.id] for recording in multilabel.recordings]
    shares = torch.tensor(list(training_shares(types, {}, multilabel.types).values()), dtype=torch.float32)
    weight = torch.tensor([[weights.get(recording.id, 1.0)] for recording in multilabel.recordings])
    return MultilabelBatch(
        torch.from_numpy(np.concatenate(windows)),
        shares * weight,
        torch.arange(len(windows)).repeat_interleave(torch.tensor([len(rows) for rows in windows])),
    )
