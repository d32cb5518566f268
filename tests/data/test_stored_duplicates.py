"""Near-duplicate pairs are stored with the mels, and made again when anything differs."""

import json
import os

import numpy as np
import pytest

from birdnet_nl.audio.cache import CachedMel, params_key, write_mel
from birdnet_nl.data import near_duplicates, stored_duplicates
from birdnet_nl.data.near_duplicates import NearDuplicate
from birdnet_nl.data.outlines import HeldBlocks
from birdnet_nl.data.stored_duplicates import stored_near_duplicates


@pytest.fixture
def mels(tmp_path, small_mel):
    """Mels of four recordings by id; the first two are of the same sound."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(-40, 8, (small_mel.n_mels, 600)).astype(np.float16) for _ in range(3)]
    folder, cached = tmp_path / params_key(small_mel), {}
    for name, mel in zip("abcd", [arrays[0], arrays[0][:, 40:], *arrays[1:]], strict=True):
        write_mel(mel, folder / f"{name}.npy")
        cached[f"XC{name}"] = CachedMel(folder / f"{name}.npy", mel.shape[1], name)
    return cached


@pytest.fixture
def searches(monkeypatch):
    """The contents that were compared, a set for each search."""
    searches, search = [], stored_duplicates.find_near_duplicates

    def find(mels, *args, **options):
        searches.append(set(mels))
        return search(mels, *args, **options)

    monkeypatch.setattr(stored_duplicates, "find_near_duplicates", find)
    return searches


def files_of(mels):
    return list((mels["XCa"].path.parent / stored_duplicates.FOLDER).iterdir())


def test_the_second_search_is_read_from_the_cache(mels, small_mel, searches):
    first = stored_near_duplicates(mels, small_mel)
    assert [(pair.first, pair.second) for pair in first] == [("XCa", "XCb")]
    (file,) = files_of(mels)
    os.utime(file, (0, 0))
    renamed = {f"new/{id}": mel for id, mel in reversed(mels.items())}
    assert stored_near_duplicates(renamed, small_mel) == [
        NearDuplicate("new/XCa", "new/XCb", first[0].correlation)
    ]  # names and order do not matter
    assert len(searches) == 1
    assert file.stat().st_mtime > 0  # so that `birdnet-nl prune` knows that it is used


def test_another_set_is_compared_again(mels, small_mel, searches):
    stored_near_duplicates(mels, small_mel)
    without = {id: mel for id, mel in mels.items() if id != "XCb"}
    assert stored_near_duplicates(without, small_mel) == []
    assert searches == [set("abcd"), set("acd")]


def test_pairs_with_new_recordings_are_stored_apart(mels, small_mel, searches):
    assert stored_near_duplicates(mels, small_mel, new={"XCc", "XCd"}) == []
    assert len(stored_near_duplicates(mels, small_mel, new={"XCb"})) == 1
    assert len(stored_near_duplicates(mels, small_mel)) == 1
    assert stored_near_duplicates(mels, small_mel, new=set()) == [] and len(searches) == 3


@pytest.mark.parametrize("content", ["", '[["a", "b"', '{"a": 1}', '[["a", "z", 0.9]]', '[["a", "b"]]', "[[1, 2, []]]"])
def test_a_damaged_file_is_made_again(mels, small_mel, searches, content):
    expected = stored_near_duplicates(mels, small_mel)
    (file,) = files_of(mels)
    file.write_text(content)
    assert stored_near_duplicates(mels, small_mel) == expected
    assert len(searches) == 2 and len(json.loads(file.read_text())) == 1


def test_files_of_equal_content_are_in_the_pairs_of_others(mels, small_mel):
    mels["XCe"] = mels["XCa"]
    pairs = {(pair.first, pair.second) for pair in stored_near_duplicates(mels, small_mel)}
    assert pairs == {("XCa", "XCb"), ("XCe", "XCb")}


def test_a_cache_that_cannot_be_written_is_no_error(mels, small_mel):
    (mels["XCa"].path.parent / stored_duplicates.FOLDER).write_text("a file in its place")
    assert len(stored_near_duplicates(mels, small_mel)) == 1


def test_outlines_of_the_first_search_serve_the_second(mels, small_mel, monkeypatch):
    computed, compute = [], near_duplicates.compute_blocks

    def count_mels(read, block):
        own = list(read)
        computed.append(len(own))
        return compute(own, block)

    monkeypatch.setattr(near_duplicates, "compute_blocks", count_mels)
    held, first = HeldBlocks(), {id: mels[id] for id in ("XCa", "XCc")}
    assert stored_near_duplicates(first, small_mel, held=held) == []
    pairs = stored_near_duplicates(mels, small_mel, new={"XCb", "XCd"}, held=held)
    assert pairs == stored_near_duplicates(mels, small_mel) != []
    assert computed == [2, 2, 4]
