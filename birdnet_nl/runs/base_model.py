"""A finished run of several species as the base of a head for one species (`trainer=head base=<run directory>`)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.splits import InheritedSplits, read_inherited
from birdnet_nl.evaluation.calibration import Calibration
from birdnet_nl.evaluation.evaluate import Evaluation
from birdnet_nl.evaluation.metrics import score
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.predict import predict_calibrated
from birdnet_nl.training.checkpoint import read_checkpoint
from birdnet_nl.training.probe import EmbeddingClassifier, ProbeClassifier, SegmentHead
from birdnet_nl.util.console import display_path, info
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import did_you_mean, user_path
from birdnet_nl.util.run_directory import CONFIG, METRICS, SPLITS_FILE, finish_advice
from birdnet_nl.util.words import counted

MIN_OF_TYPE = 2  # training recordings, of two types at least; with fewer a head would learn a single bird


@dataclass(frozen=True)
class BaseRun:
    """A trained classifier to put a head on, and the splits of the recordings that it was trained and tested on."""

    run_dir: Path
    classifier: Classifier
    splits: InheritedSplits

    @property
    def types(self) -> list[str]:
        return self.classifier.types

    def data_settings(self) -> dict[str, Any]:
        """Arguments of `SpeciesDataModule` that are those of the base run."""
        return {
            "mel": self.classifier.mel,
            "types": self.types,
            "sounds": self.classifier.type_set.as_dict(),
            "flight_call": "call",  # the set has none where the base run left them out
            "segment_s": self.classifier.metadata["segment_s"],
            "segment_hop_s": self.classifier.metadata["segment_hop_s"],
            "embeddings": self.classifier.embedding_model,
            "inherited": self.splits,
        }


def load_base_run(base: str | Path | None) -> BaseRun:
    """Load a finished run; raises `ValueError` without one and `RunError` when it cannot be the base of a head."""
    if not base:
        raise ValueError(
            "trainer=head needs base=<run directory>, a finished run of several species; make one with "
            "python train.py data.pool=all trainer=turbo, or with trainer=frozen, distilled or birdnet"
        )
    run_dir = user_path(base)
    if not (run_dir / CONFIG).is_file():
        raise RunError(
            f"base={run_dir} is not a run directory{did_you_mean(run_dir)}; put it back there, or give one such as "
            "logs/turbo/pool-all/<time>"
        )
    if not (run_dir / METRICS).is_file():
        raise RunError(f"base={run_dir} is not finished; {finish_advice(run_dir)}")
    classifier = Classifier.load(run_dir)
    network = classifier.network
    if not hasattr(network, "forward_head") or hasattr(network, "base"):
        raise RunError(
            f"base={run_dir} is a {type(network).__name__}, which cannot be the base of a head; give a run of "
            "trainer=turbo, frozen, distilled or birdnet"
        )
    if classifier.split_by == "segment":
        raise RunError(f"base={run_dir} was split by segment, so it has seen every recording; give one that was not")
    splits = read_inherited(run_dir / SPLITS_FILE, numbers_are_unique=not classifier.metadata["synthetic"])
    return BaseRun(run_dir, classifier, splits)


class HeadDataModule(SpeciesDataModule):
    """Recordings of one species, with the front end, types, embeddings and splits of the base run.

    Args:
        base: the run directory of the base run.
        settings: as for `SpeciesDataModule`; those that the base run sets are not used.
    """

    def __init__(self, base: str | None, **settings: Any) -> None:
        if settings["source"] == "spectrograms":
            raise ValueError("data=spectrograms holds parts of recordings and a head needs whole ones; give recordings")
        self.base = load_base_run(base)
        super().__init__(**settings | self.base.data_settings())
        synthetic_base = self.base.classifier.metadata["synthetic"]
        if synthetic_base != self.synthetic:
            kinds = ("the synthetic demo", "real recordings")
            trained, given = kinds if synthetic_base else kinds[::-1]
            raise RunError(f"base={base} was trained on {trained}, and these are {given}; give another base")

    def prepare(self) -> None:
        super().prepare()
        self._check_test_not_seen()

    def _check_test_not_seen(self) -> None:
        """Raise `RunError` when the base was trained on what would be tested, though the file is elsewhere by now."""
        if self.synthetic:  # demo recordings are known by their path, and share their numbers
            return
        prepared, trained_on = self.prepared, self.base.classifier.trained_on
        tested = [recording for recording in prepared.recordings if prepared.splits[recording.id] == "test"]
        seen = [(recording, reason) for recording in tested if (reason := trained_on.reason_seen(recording))]
        if seen:
            recording, reason = seen[0]
            raise RunError(
                f"base={self.base.run_dir} was trained on {len(seen)} of the {len(tested)} test recordings of "
                f"{self.species.slug} ({recording.path} has {reason}); put them where they were then, or train a new "
                "base"
            )

    @cached_property
    def fitted_recordings(self) -> Counter:
        """Recordings that the head is fitted to by type: with embeddings those for validation too."""
        counts = self.recording_counts()
        return counts["train"] if self.embeddings is None else counts["train"] + counts["val"]

    @property
    def suffices_for_head(self) -> bool:
        """Whether the training recordings of the species may change the prediction of the base."""
        return sum(count >= MIN_OF_TYPE for count in self.recording_counts()["train"].values()) >= 2

    def metadata(self) -> dict[str, Any]:
        return super().metadata() | {"base": str(self.base.run_dir.resolve())}


class _HeadOnBase(ProbeClassifier):
    """Part of a head's LightningModule that concerns its base: weights, inherited decision and report."""

    def check_description(self) -> None:
        """The network can only be built with the base run, in `build_network`."""

    def build_network(self, data: HeadDataModule) -> tuple[nn.Module, None]:
        self.base = base = data.base
        temperature = base.classifier.calibration.temperature_of(data.species.slug)
        self.description |= {"base": base.classifier.metadata["network"], "logit_scale": 1 / temperature}
        network, _ = super().build_network(data)
        for part in (network, getattr(self, "train_only_network", None)):
            if part is not None:
                part.base.load_state_dict(base.classifier.network.state_dict())
                part.head.requires_grad_(data.suffices_for_head)
        self._print_summary(data)
        return network, None

    @property
    def inherited_decision(self) -> tuple[Calibration, float | None]:
        """Calibration and threshold of the base; its temperature is in the network already."""
        classifier = self.base.classifier
        return Calibration(1.0, classifier.calibration.pooling, 0), classifier.threshold

    def _print_summary(self, data: HeadDataModule) -> None:
        def in_words(counts: Counter) -> str:
            return ", ".join(f"{name} {counts[name]}" for name in self.base.types)

        where, fitted = display_path(self.base.run_dir), data.fitted_recordings
        if data.suffices_for_head:
            info(f"head on {where}, fitted to {counted(fitted.total(), 'recording')} ({in_words(fitted)})")
        else:
            info(
                f"[yellow]too few training recordings of {data.species.slug} for a head "
                f"({in_words(data.recording_counts()['train'])}; needed: {MIN_OF_TYPE} of each of two types): the "
                f"prediction for all species is used, of {where}[/]"
            )

    def describe_result(self, data: HeadDataModule, evaluation: Evaluation) -> dict[str, Any]:
        """For `metrics.json`: what the head was fitted to, how far it changed predictions, and the base's metrics."""
        by_id = {recording.id: recording for recording in data.prepared.recordings}
        tested = [by_id[id] for id in data.datasets["test"].recording_ids]
        pooled, _ = predict_calibrated(self.base.classifier, tested, data.cache_dir)
        change = (evaluation.probabilities - pooled).abs().sum(dim=1).mean() / 2  # 0 nowhere, 1 to another type
        return {
            "head": {
                "l2": self.network.l2,
                "base": str(self.base.run_dir),
                "fitted": data.suffices_for_head,
                "trained_on": {name: data.fitted_recordings[name] for name in self.base.types},
                "mean_change": float(change),
                "pooled": score(pooled, evaluation.true_types, self.base.types),
            }
        }


class _SegmentHead(_HeadOnBase, SegmentHead):
    """Head on a mel CNN."""


class _EmbeddingHead(_HeadOnBase, EmbeddingClassifier):
    """Head on a classifier of embeddings."""

    def build_network(self, data: HeadDataModule) -> tuple[nn.Module, None]:
        """Give the train-only network the base's own: the validation recordings of both runs are the same ones."""
        network, pretraining = super().build_network(data)
        prefix, state = "train_only_network.", read_checkpoint(self.base.classifier.checkpoint)["state_dict"]
        train_only = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        self.train_only_network.base.load_state_dict(train_only)
        return network, pretraining


def head_classifier(base: str | None, network: Callable[..., nn.Module], **settings: Any) -> ProbeClassifier:
    """Return the LightningModule of a head, for the kind of network that the base run trained."""
    kind = _SegmentHead if load_base_run(base).classifier.embedding_model is None else _EmbeddingHead
    return kind(network=network, **settings)
