"""The LightningDataModule: finds, splits and cuts recordings, and serves segments in batches."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import joblib
import lightning as L
import numpy as np
import torch

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.annotated import BACKGROUND, AnnotatedRecordings, check_annotations, read_annotated
from birdnet_nl.data.crops import CropDataset, CropParams, CropSampler, training_shares
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.data.deduplicate import assert_disjoint
from birdnet_nl.data.embedded import EmbeddedSplits, collect_splits, embed_prepared
from birdnet_nl.data.extra import ExtraRecordings, add_extra, check_extra_roots, read_extra, select_extra, weigh_extra
from birdnet_nl.data.loading import Loaders, check_resident
from birdnet_nl.data.multilabel import MultilabelRecordings, find_multilabel
from birdnet_nl.data.outlines import HeldBlocks
from birdnet_nl.data.prepare import PreparedRecordings, mel_maker, prepare_recordings, without_recordings
from birdnet_nl.data.segments import Segment, check_max_segments, cut_segments, cut_splits, limit_per_type
from birdnet_nl.data.sources import DemoSettings, RecordingsSource, choose_sources, read_content, with_own_ids
from birdnet_nl.data.splits import InheritedSplits, check_fold
from birdnet_nl.data.summary import DataSummary
from birdnet_nl.data.training_subset import check_training_share, limit_training
from birdnet_nl.data.validation import (
    check_batches,
    check_extra_weight,
    check_multilabel_weight,
    check_segments,
    check_shares,
    check_split_by,
    check_synthetic_recordings,
    check_test_source,
    check_types,
)
from birdnet_nl.embeddings.base import EmbeddingModel, TrainingAudio
from birdnet_nl.embeddings.cache import NOT_FINITE, check_demo, check_windows
from birdnet_nl.recordings.folder import FolderContent
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.type_set import TypeSet
from birdnet_nl.species.table import Species, pooled_species
from birdnet_nl.synthetic.demo_times import write_demo_annotations
from birdnet_nl.util.console import progress_bar


class SpeciesDataModule(DataSummary, Loaders, L.LightningDataModule):
    """Recordings of one species, or of a pool of species, as segments in batches.

    `setup` finds and decodes the recordings and assigns the splits, once; everything that was left out can be read from
    `prepared`. The splits depend on the recordings and `seed` only. The values are those of `conf/data/base.yaml`.

    Args:
        species: the species, or what stands for the pool.
        source, root, demo: origin of the recordings (`data/sources.py`).
        pool: the species that are trained on together, as names or as `all`; None for `species` alone.
        cache_dir: folder of mels, embeddings and copies of remote recordings.
        types: the vocalization types to tell apart, where the recordings suffice.
        sounds, flight_call: see `TypeSet.of`.
        segment_s, segment_hop_s: length of a segment and distance from one to the next, in seconds.
        shares: share of recordings in train, val and test.
        min_recordings: a type with fewer is left out.
        folds, fold: number of cross-validation folds and the one that is tested; None for a single split by `shares`.
        split_by: `recording`, or `segment` for the original's leak.
        max_segments_per_type: of the training split, drawn evenly over recordings; None keeps all.
        crops: how crops are drawn for training; not used unless `crops.enabled`.
        shuffle_types: a control: permute the types over the recordings, so that nothing can be learned.
        batch_size, num_workers, pin_memory, persistent_workers: as of torch's DataLoader.
        resident: hold the mels on the device that trains (`data/loading.py`): `auto`, true or false.
        decode_workers: threads that decode and compute mels; None for one per core.
        embeddings: pretrained network whose embeddings of the segments are served instead of their mels, each split as
            one batch. Mels are computed all the same: duplicates are found with them.
        multilabel_weight: with `embeddings`, weight of a training recording of several types relative to one of one
            type; 0 leaves these out. With crops, `crops.multilabel_share` sets their share.
        synthetic_recordings: with `embeddings`, number of synthetic recordings to train on; none with the demo.
        inherited: splits of an earlier run that this one builds on; None to split from scratch.
        test_source: a value of the column `source` of recordings.csv, whose recordings are tested on: leave one source
            out; None for splits by `shares` or `folds`.
        final: put all recordings in the training split, for a run without validation and test.
        extra_roots: folders with further recordings of any species, for training only (`data/extra.py`).
        annotations: use of labels in time (`annotations.csv`, see `data/annotated.py`): true trains on the annotated
            segments of an annotated recording only, and evaluates on them too; `evaluate` does only the latter; `auto`
            is true except for the demo.
        training_share: share of the training split that is trained on, for learning curves; None for the usual
            training, in which classifiers on embeddings are fitted to the validation recordings too.
        extra_weight: weight of all recordings of `extra_roots` of a type together, at most; those of the run weigh 1.
    """

    def __init__(
        self,
        species: Species,
        mel: MelParams,
        source: str | RecordingsSource,
        root: str | None,
        demo: DemoSettings,
        pool: str | Sequence[str] | None,
        cache_dir: str,
        types: Sequence[str],
        sounds: Mapping[str, Sequence[str]],
        flight_call: str,
        segment_s: float,
        segment_hop_s: float,
        shares: dict[str, float],
        min_recordings: int,
        folds: int | None,
        fold: int | None,
        split_by: str,
        max_segments_per_type: int | None,
        crops: CropParams,
        shuffle_types: bool,
        seed: int,
        batch_size: int,
        num_workers: int,
        pin_memory: bool,
        persistent_workers: bool,
        resident: str | bool,
        decode_workers: int | None,
        embeddings: EmbeddingModel | None = None,
        multilabel_weight: float = 0.0,
        synthetic_recordings: int = 0,
        inherited: InheritedSplits | None = None,
        extra_roots: Sequence[str] = (),
        extra_weight: float = 1.0,
        final: bool = False,
        test_source: str | None = None,
        training_share: float | None = None,
        annotations: str | bool = False,
    ) -> None:
        super().__init__()
        type_set = TypeSet.of(sounds, flight_call)
        check_types(types, type_set)
        check_segments(segment_s, segment_hop_s)
        check_shares(shares, min_recordings)
        check_max_segments(max_segments_per_type)
        check_fold(folds, fold)
        check_split_by(split_by, folds, crops.enabled)
        check_test_source(test_source, folds, split_by, inherited, final)
        check_training_share(training_share, split_by, final)
        check_annotations(annotations)
        check_batches(batch_size, num_workers)
        check_resident(resident)
        check_multilabel_weight(multilabel_weight)
        check_synthetic_recordings(synthetic_recordings)
        check_extra_weight(extra_weight)
        if embeddings is not None:
            check_windows(embeddings, segment_s, source)
        self.species, self.mel, self.embeddings, self.inherited = species, mel, embeddings, inherited
        self.demo, self.cache_dir = demo, Path(cache_dir)
        self.types, self.type_set = [name for name in type_set.types if name in types], type_set
        self.segment_s, self.segment_hop_s = segment_s, segment_hop_s
        self.shares, self.min_recordings = shares, min_recordings
        self.max_segments_per_type, self.shuffle_types, self.seed = max_segments_per_type, shuffle_types, seed
        self.batch_size, self.num_workers, self.resident = batch_size, num_workers, resident
        self.pin_memory, self.persistent_workers = pin_memory, persistent_workers
        self.decode_workers = decode_workers or joblib.cpu_count()
        self.final, self.test_source = final, None if test_source is None else str(test_source)
        self.multilabel_weight, self.synthetic_recordings = multilabel_weight, synthetic_recordings
        self.training_share, self.beyond_share = training_share, {}
        self.annotations, self.annotated = annotations, AnnotatedRecordings()
        self.extra_weight: float = extra_weight
        self.extra_weights: dict[str, float] = {}
        self.folds, self.fold, self.split_by = folds, fold, split_by
        self.crops = crops if crops.enabled and embeddings is None else None
        members = [species] if pool is None else pooled_species(pool)
        self.choices = choose_sources(source, root, members, group=isinstance(pool, str))
        self.extra_roots = check_extra_roots(extra_roots, self.synthetic, split_by, self._spectrograms)
        if embeddings is not None:
            check_demo(embeddings, self.synthetic)
        self.prepared: PreparedRecordings | None = None
        self.contents: list[FolderContent] = []
        self.multilabel, self.extra = MultilabelRecordings(), ExtraRecordings()
        self.datasets: dict[str, SegmentDataset] = {}
        self.crop_dataset: CropDataset | None = None
        self.train_segments: SegmentDataset | None = None
        self.embedded: EmbeddedSplits | None = None

    @property
    def synthetic(self) -> bool:
        """Whether any recording is of the synthetic demo."""
        return any(choice.synthetic for choice in self.choices.values())

    @property
    def pool(self) -> list[str] | None:
        """Slugs of the species trained on together, or None for a single one."""
        return [species.slug for species in self.choices] if self.species not in self.choices else None

    @property
    def mel_dir(self) -> Path:
        return self.cache_dir / "mel"

    @property
    def embeddings_dir(self) -> Path:
        return self.cache_dir / "embeddings"

    @property
    def uses_synthetic(self) -> bool:
        """Whether synthetic recordings are trained on beside the real ones."""
        return self.embeddings is not None and self.synthetic_recordings > 0 and not self.synthetic

    def setup(self, stage: str = "fit") -> None:
        """Find, decode, split, cut and embed, once, with progress bars.

        Raises:
            DataError: if that leaves nothing to train on.
        """
        if self.prepared is None:
            self.prepare()

    def prepare(self) -> None:
        recordings = self._read_recordings()
        held = HeldBlocks()  # for the second search for duplicates, among recordings of several types
        self.extra = read_extra(self.extra_roots, self.type_set, recordings)
        with progress_bar() as bar:
            total = sum(recording.vocalization_type in self.types for recording in (*recordings, *self.extra.found))
            task = bar.add_task("decoding and computing mels", total=total)
            make_mels = mel_maker(
                self._spectrograms, self.mel, self.mel_dir, self.segment_s, self.decode_workers,
                lambda: bar.advance(task),
            )  # fmt: skip
            self.prepared = prepare_recordings(
                recordings,
                types=self.types,
                make_mels=make_mels,
                mel=self.mel,
                shares=self.shares,
                min_recordings=self.min_recordings,
                seed=self.seed,
                subject=self.species.slug,
                folds=self.folds,
                fold=self.fold,
                inherited=self.inherited,
                held=held,
                final=self.final,
                test_source=self.test_source,
            )
            if self.extra_roots:
                self.extra = select_extra(
                    self.extra, self.prepared, make_mels, self.mel, not self.synthetic, self.test_source
                )
                self.prepared = add_extra(self.prepared, self.extra)
            recordings = [*recordings, *self.extra.usable]
            types_of = self.annotated.types_by_id if self.trains_on_annotations else {}
            if not self._uses_multilabel:
                recordings = [recording for recording in recordings if recording.id in types_of]
            if recordings:
                self.multilabel = find_multilabel(
                    recordings, self.prepared, make_mels, self.mel, self.type_set, held, types_of
                )
        if self.training_share is not None:
            extra = {recording.id for recording in self.extra.found}
            self.prepared, self.multilabel, self.beyond_share = limit_training(
                self.prepared, self.multilabel, self.training_share, self.seed, extra
            )
        if self.extra_roots:
            self.extra_weights = weigh_extra(self.prepared, self.extra, self.extra_weight)
        self._cut()
        if self.embeddings is not None:
            self.embedded = self._embed()

    @property
    def _uses_multilabel(self) -> bool:
        if self.shuffle_types:  # their types would be true
            return False
        if self.embeddings is not None:
            return self.multilabel_weight > 0
        return self.crops is not None and self.crops.multilabel_share > 0

    @property
    def reads_annotations(self) -> bool:
        """Whether labels in time are used at all; `auto` leaves out those of the demo."""
        is_on = not self.synthetic if self.annotations == "auto" else bool(self.annotations)
        return is_on and self.split_by == "recording" and not self._spectrograms

    @property
    def trains_on_annotations(self) -> bool:
        """Whether labels in time change the training; classifiers on embeddings are trained on whole recordings."""
        is_evaluation = self.annotations == "evaluate" or self.shuffle_types or self.embeddings is not None
        return self.reads_annotations and not is_evaluation and bool(self.annotated.stretches)

    @property
    def _spectrograms(self) -> bool:
        return any(choice.spectrograms for choice in self.choices.values())

    def _read_recordings(self) -> list[Recording]:
        self.contents = [
            read_content(choice, species, self.demo, self.cache_dir / "remote", self.type_set)
            for species, choice in self.choices.items()
        ]
        recordings = with_own_ids([recording for content in self.contents for recording in content.recordings])
        if self.reads_annotations:
            if self.synthetic:
                write_demo_annotations(self.contents)
            recordings, self.annotated = read_annotated(self.contents, recordings, self.type_set)
        return recordings

    def _starts(self, frames: int) -> list[float]:
        """Start times in seconds of the segments of a recording with so many frames."""
        if self._spectrograms:  # one file after the other
            per_segment = self.mel.segment_frames(self.segment_s)
            return [frame / self.mel.frames_per_s for frame in range(0, frames, per_segment)]
        return cut_segments(frames / self.mel.frames_per_s, self.segment_s, self.segment_hop_s)

    def _cut(self) -> None:
        prepared = self.prepared
        max_segments = None if self.crops else self.max_segments_per_type
        cut = cut_splits(
            prepared, self._starts, self.shares, max_segments, self.shuffle_types, self.split_by, self.seed
        )
        for split, segments in cut.of_split.items():
            self.datasets[split] = SegmentDataset(segments, prepared.mels, cut.type_of, self.mel, self.segment_s)
        if self.split_by == "recording":
            ids_of_split = {split: dataset.recording_ids for split, dataset in self.datasets.items()}
            assert_disjoint(prepared.recordings, prepared.mels, prepared.near_duplicates, ids_of_split)
        if self.crops is not None:
            ids = self.datasets["train"].recording_ids
            shares = training_shares(prepared.types, {id: cut.type_of[id] for id in ids}, self.multilabel.types)
            mels = prepared.mels | self.multilabel.mels
            windows = self._window_types(list(shares), mels) if self.trains_on_annotations else None
            self.crop_dataset = CropDataset(
                list(shares), mels, shares, self.mel, self.segment_s, windows, self.extra_weights
            )
            self.crop_sampler = CropSampler(self.crop_dataset, self.crops, self.batch_size, self.seed)
        elif self.trains_on_annotations:
            self.train_segments = self._annotated_segments(cut.type_of)

    def _window_types(self, ids: Sequence[str], mels: Mapping[str, CachedMel]) -> dict[str, np.ndarray]:
        """Return the type of each possible crop of the annotated recordings, by id."""
        types, length = self.prepared.types, self.mel.segment_frames(self.segment_s)
        found = {}
        for id in ids:
            starts_s = np.arange(max(1, mels[id].frames - length + 1)) / self.mel.frames_per_s
            windows = self.annotated.window_types(id, starts_s, self.segment_s, types)
            if windows is not None and (windows != BACKGROUND).any():
                found[id] = windows
        return found

    def _annotated_segments(self, type_of: Mapping[str, int]) -> SegmentDataset:
        """Return the segments to train on: of annotated recordings those with a type, of the others all."""
        prepared, mels = self.prepared, self.prepared.mels | self.multilabel.mels
        ids = [recording.id for recording in prepared.recordings if prepared.splits[recording.id] == "train"]
        segments = []
        for id in [*ids, *self.multilabel.types]:
            starts = self._starts(mels[id].frames)
            types = self.annotated.window_types(id, np.array(starts), self.segment_s, prepared.types)
            if types is not None and (types != BACKGROUND).any():
                pairs = zip(starts, types.tolist(), strict=True)
                segments += [Segment(id, start_s, index) for start_s, index in pairs if index != BACKGROUND]
            elif id in type_of:
                segments += [Segment(id, start_s) for start_s in starts]
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, 0xA770]))
        segments = limit_per_type(segments, type_of, self.max_segments_per_type, rng)
        return SegmentDataset(segments, mels, type_of, self.mel, self.segment_s)

    def annotated_types(self, split: str) -> torch.Tensor:
        """Type of each segment of a split from the annotations, `BACKGROUND` without one, int64 [segments].

        Segments of recordings without annotations have the type -2.
        """
        dataset = self.datasets[split]
        types = torch.full((len(dataset),), -2, dtype=torch.int64)
        for index, id in enumerate(dataset.recording_ids):
            own = dataset.recordings == index
            starts_s = dataset.start_frames[own].numpy() / self.mel.frames_per_s
            windows = self.annotated.window_types(id, starts_s, self.segment_s, self.prepared.types)
            if windows is not None:
                types[own] = torch.from_numpy(windows)
        return types

    def _embed(self) -> EmbeddedSplits:
        training = TrainingAudio(
            recordings=[*self.training_recordings, *self.multilabel.recordings],
            mel_dir=self.mel_dir,
            embeddings_dir=self.embeddings_dir,
            segment_s=self.segment_s,
            segment_hop_s=self.segment_hop_s,
            workers=self.decode_workers,
            seed=self.seed,
            synthetic=self.synthetic,
        )
        embedded = embed_prepared(self.embeddings, training, self.prepared, self.multilabel, self._starts)
        self._leave_out({recording.id for recording in self._used_recordings} - embedded.keys())
        return collect_splits(
            self.embeddings,
            training,
            embedded,
            self.prepared,
            self.multilabel,
            self.datasets,
            frames_per_window=self.segment_hop_s * self.mel.frames_per_s,
            synthetic_recordings=self.synthetic_recordings if self.uses_synthetic else 0,
            type_set=self.type_set,
            weights=self.extra_weights,
        )

    @property
    def _used_recordings(self) -> list[Recording]:
        return [*self.prepared.recordings, *self.multilabel.recordings]

    def _leave_out(self, ids: set[str]) -> None:
        """Leave out recordings whose embeddings are not finite; no other recording changes its split."""
        if ids:
            self.prepared = without_recordings(self.prepared, ids, NOT_FINITE, self.species.slug)
            self.multilabel = self.multilabel.without(ids, NOT_FINITE)
            self._cut()
