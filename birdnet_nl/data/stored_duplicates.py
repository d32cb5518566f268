"""Near-duplicate pairs, stored beside the mels in a file named after the contents that were compared."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from itertools import product
from pathlib import Path

import joblib
import numpy as np

from birdnet_nl.audio.cache import CachedMel, params_key
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.near_duplicates import VERSION, NearDuplicate, find_near_duplicates
from birdnet_nl.data.outlines import HeldBlocks
from birdnet_nl.util.files import touch_cached, write_text_atomic

FOLDER = "near-duplicates"


class LoadedMels(Mapping[str, np.ndarray]):
    """Mels that are read from disk at each access: a process may have about a thousand files mapped."""

    def __init__(self, mels: Mapping[str, CachedMel]) -> None:
        self.mels = mels

    def __getitem__(self, id: str) -> np.ndarray:
        return self.mels[id].read()

    def __iter__(self) -> Iterator[str]:
        return iter(self.mels)

    def __len__(self) -> int:
        return len(self.mels)


def stored_near_duplicates(
    mels: Mapping[str, CachedMel],
    params: MelParams,
    new: Collection[str] | None = None,
    held: HeldBlocks | None = None,
) -> list[NearDuplicate]:
    """Return the near-duplicates among `mels`, by recording id; from the cache where the same were compared before.

    With `new`, only pairs with at least one of these ids. A file that is damaged is made again. Recordings of equal
    content are no pair, but each is in the pairs of the others. `held` keeps the outlines, by content, for the next
    search with the same `params`.
    """
    ids_of: dict[str, list[str]] = defaultdict(list)
    for id, mel in mels.items():
        ids_of[mel.content].append(id)
    if len(ids_of) < 2:
        return []
    by_content = {content: mels[ids[0]] for content, ids in ids_of.items()}
    new_contents = None if new is None else {mels[id].content for id in new if id in mels}
    if new_contents is not None and not new_contents:
        return []
    target = next(iter(mels.values())).path.parent / FOLDER / f"{_key(by_content, params, new_contents)}.json"
    pairs = _read(target, by_content)
    if pairs is None:
        pairs = find_near_duplicates(LoadedMels(by_content), params, joblib.cpu_count(), new_contents, held)
        with suppress(OSError):  # a cache that may not be written, or a full disk: compared again next time
            write_text_atomic(target, json.dumps([[pair.first, pair.second, pair.correlation] for pair in pairs]))
    return [
        NearDuplicate(first, second, pair.correlation)
        for pair in pairs
        for first, second in product(ids_of[pair.first], ids_of[pair.second])
    ]


def _key(by_content: Mapping[str, CachedMel], params: MelParams, new: Collection[str] | None) -> str:
    """Return hex digits that differ when a content, the mels, or the search differs."""
    text = json.dumps([VERSION, params_key(params), sorted(by_content), new and sorted(new)])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _read(path: Path, by_content: Mapping[str, CachedMel]) -> list[NearDuplicate] | None:
    """Read stored pairs of contents; None where there are none, or the file is damaged."""
    try:
        pairs = [NearDuplicate(*pair) for pair in json.loads(path.read_text(encoding="utf-8"))]
        if not all({pair.first, pair.second} <= by_content.keys() and pair.correlation <= 1.001 for pair in pairs):
            return None
    except (OSError, ValueError, TypeError):
        return None
    touch_cached(path)
    return pairs
