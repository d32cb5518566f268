"""The DataModule: segments of each split, weights of the types, and loading that changes no value."""

import shutil
from collections import Counter

import numpy as np
import pytest
import soundfile
import torch

from birdnet_nl.audio.decode import decode
from birdnet_nl.data.crops import CropParams
from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.sources import DemoSettings
from birdnet_nl.data.splits import read_inherited, write_splits
from birdnet_nl.embeddings.base import EmbeddingModel, cut_clip
from birdnet_nl.recordings.annotations import Annotation, write_annotations
from birdnet_nl.recordings.type_set import THREE
from birdnet_nl.species.table import Species, get_species, pool_as_species
from birdnet_nl.util.errors import DataError

SPEC = {"song": 10, "call": 8, "alarm": 5}
CROPS = {"per_epoch": 64, "batch_size": 16, "choices": 2, "active_share": 0.5, "multilabel_share": 0.0}
NO_CROPS = CropParams(enabled=False, **CROPS)


@pytest.fixture(scope="module")
def root(tmp_path_factory, make_recordings_folder):
    """Recordings of two seconds: seven segments of half a second each."""
    root = tmp_path_factory.mktemp("recordings")
    make_recordings_folder(root, "merel", SPEC, duration_s=2.0)
    return root


@pytest.fixture
def make_data(root, small_mel):
    """A DataModule of the small recordings with changed arguments; set up unless `prepare` is false."""

    def make(prepare: bool = True, **changes) -> SpeciesDataModule:
        settings = {
            "species": get_species("merel"), "mel": small_mel, "source": "xeno_canto", "root": str(root),
            "demo": DemoSettings("nowhere", 1, "normal", 0), "pool": None, "cache_dir": str(root / "cache"),
            "types": ["song", "call", "alarm"], "sounds": THREE.as_dict(),
            "flight_call": "call", "segment_s": 0.5, "segment_hop_s": 0.25,
            "shares": {"train": 0.6, "val": 0.2, "test": 0.2}, "min_recordings": 3, "max_segments_per_type": None,
            "folds": None, "fold": None, "split_by": "recording", "crops": NO_CROPS, "shuffle_types": False,
            "seed": 1, "batch_size": 16, "num_workers": 0, "pin_memory": False,
            "persistent_workers": False, "resident": "auto", "decode_workers": 2,
        }  # fmt: skip
        data = SpeciesDataModule(**{**settings, **changes})
        if prepare:
            data.setup()
        return data

    return make


def segments_of(data: SpeciesDataModule, split: str) -> list[tuple[str, int]]:
    dataset = data.datasets[split]
    ids = [dataset.recording_ids[index] for index in dataset.recordings.tolist()]
    return list(zip(ids, dataset.start_frames.tolist(), strict=True))


def test_every_recording_is_cut_whole_and_into_its_own_split(make_data):
    data = make_data()
    seen = {}
    for split in ("train", "val", "test"):
        counts = Counter(id for id, _ in segments_of(data, split))
        assert set(counts) == {id for id, of in data.prepared.splits.items() if of == split}
        assert set(counts.values()) == {7}
        seen |= dict.fromkeys(counts, split)
    assert len(seen) == sum(SPEC.values())


def test_class_weights_are_those_of_the_training_split_alone(make_data):
    data = make_data(max_segments_per_type=25)
    assert data.segment_counts()["train"] == {"song": 25, "call": 25, "alarm": 3 * 7}
    total = 25 + 25 + 21
    expected = torch.tensor([total / (3 * 25), total / (3 * 25), total / (3 * 21)])
    torch.testing.assert_close(data.class_weights(), expected)
    assert data.class_weights().dtype == torch.float32


def test_weighted_types_weigh_the_same_in_all(make_data):
    data = make_data()
    counts = torch.bincount(data.datasets["train"].types).float()
    torch.testing.assert_close(counts * data.class_weights(), (counts.sum() / 3).expand(3))


def test_the_limit_concerns_training_only_and_is_spread_over_recordings(make_data):
    whole, limited = make_data(), make_data(max_segments_per_type=12)
    for split in ("val", "test"):
        assert segments_of(limited, split) == segments_of(whole, split)
    assert set(limited.segment_counts()["train"].values()) == {12}
    songs = {r.id for r in limited.prepared.recordings if r.vocalization_type == "song"}
    of_song = Counter(id for id, _ in segments_of(limited, "train") if id in songs)
    assert len(of_song) == 6 and set(of_song.values()) == {2}
    assert set(segments_of(limited, "train")) < set(segments_of(whole, "train"))


def test_every_parameter_set_is_judged_on_the_same_recordings(make_data, wide_mel):
    legacy = make_data(max_segments_per_type=10, batch_size=64)
    fast = make_data(max_segments_per_type=8, batch_size=128, num_workers=2, pin_memory=True, persistent_workers=True)
    wide = make_data(mel=wide_mel)
    assert legacy.prepared.splits == fast.prepared.splits == wide.prepared.splits
    assert segments_of(legacy, "test") == segments_of(fast, "test")
    assert make_data(seed=2).prepared.splits != legacy.prepared.splits


def test_the_order_of_types_is_fixed_whatever_order_is_asked_for(make_data):
    data = make_data(types=["alarm", "song"])
    assert data.prepared.types == ["song", "alarm"]
    assert data.segment_counts()["train"].keys() == {"song", "alarm"}


def test_segments_carry_the_type_of_their_recording(make_data):
    data = make_data()
    kind_of = {r.id: r.vocalization_type for r in data.prepared.recordings}
    for split, dataset in data.datasets.items():
        named = [data.prepared.types[kind] for kind in dataset.types.tolist()]
        assert named == [kind_of[id] for id, _ in segments_of(data, split)]


def test_shuffled_types_are_the_same_types_dealt_out_anew_over_whole_recordings(make_data):
    honest, shuffled = make_data(), make_data(shuffle_types=True)
    assert honest.prepared.splits == shuffled.prepared.splits

    def type_of_recording(data):
        pairs = {
            (id, kind)
            for split, dataset in data.datasets.items()
            for (id, _), kind in zip(segments_of(data, split), dataset.types.tolist(), strict=True)
        }
        assert len(pairs) == sum(SPEC.values())  # one type for a recording
        return dict(pairs)

    before, after = type_of_recording(honest), type_of_recording(shuffled)
    assert Counter(before.values()) == Counter(after.values())
    changed = sum(before[id] != after[id] for id in before)
    assert changed >= len(before) // 3
    assert type_of_recording(make_data(shuffle_types=True)) == after


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_workers_do_not_change_the_batches(make_data, split):
    alone, helped = make_data(), make_data(num_workers=2, persistent_workers=True)
    pairs = list(zip(*(getattr(data, f"{split}_dataloader")() for data in (alone, helped)), strict=True))
    assert len(pairs) >= 3
    for first, second in pairs:
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_training_batches_are_shuffled_anew_each_epoch_and_by_the_seed(make_data):
    data = make_data()
    loader = data.train_dataloader()
    epochs = []
    for epoch in range(2):
        loader.batch_sampler.set_epoch(epoch)
        epochs.append(torch.cat([batch[2] for batch in loader]))
    first, second = epochs
    again = torch.cat([batch[2] for batch in make_data().train_dataloader()])
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, second.sort().values)
    assert torch.equal(first, again)


def test_test_batches_come_in_order_and_whole(make_data):
    data = make_data()
    recordings = torch.cat([batch[2] for batch in data.test_dataloader()])
    assert torch.equal(recordings, data.datasets["test"].recordings)


def test_without_a_gpu_or_workers_their_switches_are_harmless(make_data):
    loader = make_data(pin_memory=True, persistent_workers=True).train_dataloader()
    assert loader.pin_memory == torch.cuda.is_available()
    assert len(next(iter(loader))) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"types": ["song"]}, r"^data\.types=\['song'\] must name at least two of song, call, alarm"),
        ({"types": ["song", "song"]}, r"^data\.types=.* must name at least two"),
        ({"types": ["song", "drum"]}, r"^data\.types=\['song', 'drum'\] must name at least two of song, call, alarm"),
        ({"segment_hop_s": 0.0}, r"^data\.segment_hop_s=0\.0 must be above 0 and at most data\.segment_s=0\.5$"),
        ({"segment_hop_s": 0.6}, r"^data\.segment_hop_s=0\.6 must be above 0 and at most data\.segment_s=0\.5$"),
        ({"segment_s": -1.0}, r"^data\.segment_s="),
        ({"shares": {"train": 0.6, "val": 0.4}}, r"^data\.shares=.* must give train, val and test a share above 0"),
        ({"shares": {"train": 0.6, "val": 0.4, "test": 0.0}}, r"^data\.shares=.* above 0"),
        ({"shares": {"train": 0.6, "val": 0.4, "test": 0.4}}, r"^data\.shares=.* together 1$"),
        ({"multilabel_weight": 2}, r"^data\.multilabel_weight=2 must be between 0 .leave them out. and 1"),
        ({"synthetic_recordings": 2}, r"^data\.synthetic_recordings=2 must be 0 .none. or .* at least 3$"),
        ({"batch_size": 0}, r"^data\.batch_size=0 must be at least 1$"),
        ({"num_workers": -1}, r"^data\.num_workers=-1 must be 0 \(load in this process\) or more$"),
        ({"num_workers": "many"}, r"^data\.num_workers=many must be"),
        ({"split_by": "bird"}, r"^data\.split_by=bird is unknown; choose one of recording, segment$"),
        ({"split_by": "segment", "folds": 5, "fold": 0}, r"^data\.split_by=segment shows the original's leak"),
        ({"folds": 5}, r"^data\.folds=5 and data\.fold=None go together"),
        ({"min_recordings": 2}, r"^data\.min_recordings=2 must be at least 3: one for each split$"),
        ({"source": "disk"}, r"^data\.source=disk is unknown; choose one of auto, demo, xeno_canto, spectrograms, or"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_before_anything_is_decoded(make_data, change, message):
    with pytest.raises(ValueError, match=message):
        make_data(prepare=False, **change)


def test_a_limit_of_nothing_is_refused(make_data):
    with pytest.raises(ValueError, match=r"^data\.max_segments_per_type=0 leaves nothing"):
        make_data(max_segments_per_type=0)


def test_a_root_that_lacks_the_species_is_refused_before_anything_is_decoded(make_data):
    with pytest.raises(DataError, match="none of vink"):
        make_data(prepare=False, species=get_species("vink"))


def test_shuffled_types_leave_every_type_in_every_split(make_data):
    for seed in range(10):
        data = make_data(shuffle_types=True, seed=seed)
        assert all(len(counts) == 3 for counts in data.segment_counts().values())


def test_a_limit_of_nothing_is_refused_before_anything_is_decoded(make_data):
    with pytest.raises(ValueError, match=r"^data\.max_segments_per_type=0"):
        make_data(prepare=False, max_segments_per_type=0)


def test_crops_are_drawn_from_training_recordings_alone_and_need_no_weights(make_data):
    data = make_data(crops=CropParams(enabled=True, **CROPS), max_segments_per_type=1)
    batches = list(data.train_dataloader())
    assert [len(batch[0]) for batch in batches] == [16, 16, 16, 16]
    seen = {data.crop_dataset.recording_ids[index] for batch in batches for index in batch[2].tolist()}
    assert seen == {id for id, split in data.prepared.splits.items() if split == "train"}
    assert torch.equal(data.class_weights(), torch.ones(3))
    assert segments_of(data, "test") == segments_of(make_data(), "test")


def test_a_pool_joins_species_and_tells_equal_ids_apart(make_data, tmp_path, make_recordings_folder):
    for slug in ("merel", "vink"):
        make_recordings_folder(tmp_path, slug, SPEC, duration_s=2.0)
    pool = ["merel", "vink"]
    data = make_data(species=pool_as_species(pool), pool=pool, root=str(tmp_path))
    assert data.pool == pool and data.species.slug == "pool-merel-vink"
    by_species = Counter(recording.species for recording in data.prepared.recordings)
    assert set(by_species) <= {"merel", "vink"} and sum(by_species.values()) == len(data.prepared.splits)
    assert len({recording.id for recording in data.prepared.recordings}) == len(data.prepared.recordings)
    assert make_data().pool is None


def test_all_species_means_those_with_recordings(make_data):
    data = make_data(species=pool_as_species("all"), pool="all")
    assert data.pool == ["merel"]


def test_a_named_species_without_recordings_is_not_passed_over(make_data):
    with pytest.raises(DataError, match="none of vink"):
        make_data(species=pool_as_species(["merel", "vink"]), pool=["merel", "vink"])


def test_mels_can_be_held_on_the_device_that_trains(make_data):
    held, read = make_data(resident=True), make_data(resident=False)
    for one, other in zip(held.val_dataloader(), read.val_dataloader(), strict=True):
        for tensor, same in zip(one, other, strict=True):
            assert (tensor == same).all()
    assert type(held.val_dataloader()) is not type(read.val_dataloader())


class Levels(EmbeddingModel):
    """An embedding model of half a second with three dimensions."""

    name, version, window_s, sample_rate_hz, dimensions = "levels", "1", 0.5, 8000, 3

    def check_installed(self) -> None:
        """Nothing is needed."""

    def load(self):
        def embed(samples: np.ndarray, start: int, species: Species) -> np.ndarray:
            clip = cut_clip(samples, start, 4000)
            return np.array([1, clip.mean(), clip.max(), clip.std()], dtype=np.float32)

        return embed


def test_embeddings_replace_mels_with_a_split_as_one_batch(make_data, tmp_path):
    data = make_data(embeddings=Levels(), cache_dir=str(tmp_path))
    for split, loader in (("train", data.train_dataloader()), ("val", data.val_dataloader())):
        (batch,) = loader
        embedded, types, recordings = batch
        segments = data.datasets[split]
        assert embedded.shape == (len(segments), 4) and embedded.dtype == torch.float16
        assert torch.equal(types, segments.types) and torch.equal(recordings, segments.recordings)
    weights = data.class_weights(of_recordings=True)
    counts = torch.bincount(data.datasets["train"].types_of_recordings)
    torch.testing.assert_close(weights * counts, torch.full((3,), counts.sum() / 3))


def test_recordings_of_several_types_are_for_training_only(make_data, root, tmp_path, sing):
    shutil.copytree(root, tmp_path / "data", ignore=shutil.ignore_patterns("cache"))
    (mixed,) = (folder for folder in (tmp_path / "data").iterdir() if (folder / "song").is_dir())
    soundfile.write(mixed / "song" / "XC999.wav", sing(999, 2.0, 8000), 8000)
    (mixed / "recordings.csv").write_text('file,type\nsong/XC999.wav,"call, song"\n', encoding="utf-8")
    settings = {"embeddings": Levels(), "cache_dir": str(tmp_path / "cache"), "root": str(tmp_path / "data")}
    without, data = make_data(**settings), make_data(**settings, multilabel_weight=1.0)
    assert without.embedded.multilabel is None and without.all_splits == without.prepared.splits
    assert data.embedded.multilabel.segments.shape == (7, 4) and not data.embedded.multilabel.recordings.any()
    assert data.embedded.multilabel.shares.tolist() == [[0.5, 0.5, 0.0]]
    assert data.prepared.splits == without.prepared.splits
    assert set(data.all_splits.items()) - set(data.prepared.splits.items()) == {("XC999", "train")}
    (first,), (second,) = data.train_dataloader(), without.train_dataloader()
    assert torch.equal(first[0], second[0])


class Unfit(Levels):
    """Levels with an embedding that is not finite for the sounds in `unfit`, by their first sample."""

    name, unfit = "unfit", frozenset()

    def load(self):
        inner = super().load()
        return lambda samples, start, species: (
            inner(samples, start, species) * (np.inf if float(samples[0]) in self.unfit else 1)
        )


def first_sample(path) -> float:
    return float(decode(path, 8000)[0])


def test_a_recording_whose_embedding_is_not_finite_is_left_out_with_the_reason(make_data, tmp_path, root, sing):
    shutil.copytree(root, tmp_path / "data", ignore=shutil.ignore_patterns("cache"))
    (folder,) = (folder for folder in (tmp_path / "data").iterdir() if (folder / "song").is_dir())
    soundfile.write(folder / "song" / "XC999.wav", sing(999, 2.0, 8000), 8000)
    (folder / "recordings.csv").write_text('file,type\nsong/XC999.wav,"call, song"\n', encoding="utf-8")
    settings = {"cache_dir": str(tmp_path / "cache"), "root": str(tmp_path / "data"), "multilabel_weight": 1.0}
    whole = make_data(embeddings=Levels(), **settings)
    songs = [recording for recording in whole.prepared.recordings if recording.vocalization_type == "song"]
    of_split = {whole.prepared.splits[recording.id]: recording for recording in songs}
    unfit = [*of_split.values(), *whole.multilabel.recordings]
    assert len(unfit) == 4  # train, val, test and multi-label
    model = Unfit()
    model.unfit = frozenset(first_sample(recording.path) for recording in unfit)
    data = make_data(embeddings=model, **settings)
    ids = {recording.id for recording in unfit}
    assert {(file.path, file.reason) for file in data.unusable} == {
        (recording.path, "its embedding is not a finite number") for recording in unfit
    }
    assert data.all_splits == {id: split for id, split in whole.all_splits.items() if id not in ids}
    assert data.file_summary().left_out.keys() == {"its embedding is not a finite number"}
    assert data.file_summary().files == whole.file_summary().files
    assert data.embedded.multilabel is None and set(data.embedded.datasets) == {"train", "val", "test"}
    for split, dataset in data.embedded.datasets.items():
        assert dataset.embeddings.isfinite().all() and not ids & set(dataset.recording_ids)
        assert len(dataset) == len(whole.embedded.datasets[split]) - 7
    model.unfit, model.cached = frozenset(first_sample(recording.path) for recording in songs), False
    message = r"merel: no song recording is left for test without the 10 that cannot be used"
    with pytest.raises(DataError, match=message):
        make_data(embeddings=model, **settings)


def test_segments_that_do_not_fit_the_embedding_model_are_refused(make_data, tmp_path):
    with pytest.raises(ValueError, match=r"data\.segment_s=0\.4 must be 0\.5 with embeddings of levels"):
        make_data(embeddings=Levels(), cache_dir=str(tmp_path), segment_s=0.4)
    with pytest.raises(ValueError, match="data=spectrograms has no sound, which levels needs"):
        make_data(embeddings=Levels(), cache_dir=str(tmp_path), source="spectrograms")


def test_inherited_splits_keep_every_type_and_each_recording_in_its_place(make_data, tmp_path):
    first = make_data()
    write_splits(tmp_path / "splits.csv", first.prepared.recordings, first.prepared.splits)
    again = make_data(inherited=read_inherited(tmp_path / "splits.csv"), seed=5, min_recordings=100)
    assert again.prepared.splits == first.prepared.splits
    assert again.prepared.types == ["song", "call", "alarm"]


def test_an_empty_inherited_split_is_reported(make_data, tmp_path):
    data = make_data()
    all_trained = dict.fromkeys(data.prepared.splits, "train")
    write_splits(tmp_path / "splits.csv", data.prepared.recordings, all_trained)
    with pytest.raises(DataError, match=r"merel: none of its \d+ recordings is for val and none for test"):
        make_data(inherited=read_inherited(tmp_path / "splits.csv"))


def test_annotated_recordings_are_trained_on_where_their_type_is(make_data, root, tmp_path):
    copy = tmp_path / "annotated"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("cache", "recordings.csv"))
    folder = next(path for path in copy.iterdir() if path.is_dir())
    plain = make_data(root=str(copy), annotations="auto")
    assert plain.train_segments is None and not plain.annotated.stretches
    mixed = next(r for r in plain.prepared.recordings if plain.prepared.splits[r.id] == "train")
    (folder / "mixed").mkdir()
    mixed.path.rename(folder / "mixed" / mixed.path.name)
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.suffix != ".csv"]
    labels = [Annotation(file, 0.45, 1.05) for file in files if "mixed" not in file]
    name = f"mixed/{mixed.path.name}"
    both = [Annotation(name, 0, 0.55, type_text="song"), Annotation(name, 1.45, 2, type_text="call")]
    write_annotations(folder, [*labels, *both])

    data = make_data(root=str(copy), annotations="auto")
    segments = data.train_segments
    of_recording = Counter(segments.recordings.tolist())
    several = segments.recording_ids.index(data.multilabel.recordings[0].id)
    assert len(of_recording) == list(data.prepared.splits.values()).count("train") + 1
    assert {count for index, count in of_recording.items() if index != several} == {3}  # at 0.25, 0.5 and 0.75 s
    types = segments.types[segments.recordings == several].tolist()
    assert sorted(types) == [0, 0, 1, 1]  # at 0, 0.25, 1.25 and 1.5 s
    assert len(data.datasets["test"]) == 7 * list(data.prepared.splits.values()).count("test")
    own = data.annotated_types("test")
    assert (own >= 0).sum() * 7 == len(own) * 3 and torch.equal(own[own >= 0], data.datasets["test"].types[own >= 0])
    assert (data.class_weights() > 0).all() and len(data.training_recordings) == len(of_recording)

    crops = CropParams(enabled=True, **CROPS)
    data = make_data(root=str(copy), annotations=True, crops=crops)
    for batch in data.crop_sampler:
        _, starts, crop_types = data.crop_dataset.places(batch)
        assert (crop_types >= 0).all() and starts.max() <= 1.5 * data.mel.frames_per_s + 1
    for value in (False, "evaluate"):
        data = make_data(root=str(copy), annotations=value)
        assert data.train_segments is None and data.reads_annotations == (value == "evaluate")
