"""A finished run as the trunk of a head: whether it can be, what a head takes from it, and what it answers itself."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.inherited_splits import InheritedSplits, read_inherited
from birdnet_nl.embeddings.base import EmbeddingModel, build_embedding_model
from birdnet_nl.evaluation.evaluate import Evaluation
from birdnet_nl.evaluation.metrics import score
from birdnet_nl.inference.classifier import TrainedNetwork, load_trained
from birdnet_nl.inference.predict import predict_calibrated
from birdnet_nl.models.residual_head import ResidualHead
from birdnet_nl.training.checkpoint import read_checkpoint
from birdnet_nl.training.embedding_module import EmbeddingClassifier
from birdnet_nl.training.module import TypeClassifier
from birdnet_nl.util.console import display_path, info
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import CONFIG, METRICS, SPLITS_FILE

MIN_OF_TYPE = 2  # training recordings, of two types at least; with fewer a head would learn a single bird


@dataclass(frozen=True)
class BaseRun:
    """A trained network to put a head on.

    Attributes:
        splits: of the recordings that it was trained and judged on.
    """

    run_dir: Path
    trained: TrainedNetwork
    splits: InheritedSplits

    @property
    def types(self) -> list[str]:
        return self.trained.at_temperature_1.types

    @property
    def embedding_model(self) -> EmbeddingModel | None:
        card = self.trained.card
        described = card.get("features")
        return build_embedding_model(described, card.get("feature_weights")) if described else None

    def data_settings(self) -> dict[str, Any]:
        """Arguments of `SpeciesDataModule` that a head has no choice about."""
        card = self.trained.card
        return {
            "mel": self.trained.at_temperature_1.mel,
            "types": self.types,
            "segment_s": card["segment_s"],
            "segment_hop_s": card["segment_hop_s"],
            "features": self.embedding_model,
            "inherited": self.splits,
        }

    def network_settings(self, species: str) -> dict[str, Any]:
        """Arguments of `ResidualHead`."""
        temperature = self.trained.calibration.temperature_of(species)
        return {"trunk": self.trained.card["network"], "sharpness": 1 / temperature}

    def give_weights(self, network: ResidualHead, train_counts: Counter) -> None:
        """The trunk's weights into a network built anew, whose head is kept still where there is too little to learn.

        `train_counts` are training recordings by type.
        """
        network.base.load_state_dict(self.trained.at_temperature_1.network.state_dict())
        network.head.requires_grad_(enough_for_a_head(train_counts))

    def give_earlier_weights(self, classifier: TypeClassifier) -> None:
        """Of a trunk of features, what it was before it learned from its validation recordings.

        They are the validation recordings of the head too, which decide on its temperature and threshold.
        """
        if isinstance(classifier, EmbeddingClassifier):
            prefix, weights = "before_validation.", read_checkpoint(self.trained.checkpoint)["state_dict"]
            earlier = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
            classifier.before_validation.base.load_state_dict(earlier)


def load_base_run(run_dir: Path) -> BaseRun:
    """Raises `RunError` when the run cannot carry a head."""
    if not (run_dir / CONFIG).is_file():
        raise RunError(f"trunk={run_dir} is not a run directory; give one such as logs/turbo/pool-all/<time>")
    if not (run_dir / METRICS).is_file():
        raise RunError(f"trunk={run_dir} is not finished; go on with python train.py resume={run_dir}")
    trained = load_trained(run_dir)
    network = trained.at_temperature_1.network
    if not hasattr(network, "answer") or hasattr(network, "trunk"):
        raise RunError(
            f"trunk={run_dir} is a {type(network).__name__}, which cannot carry a head; give a run of "
            "model=compact_cnn, practised, student or birdnet"
        )
    if trained.split_by == "segment":
        raise RunError(f"trunk={run_dir} was split by segment, so it knows every recording; give one that was not")
    splits = read_inherited(run_dir / SPLITS_FILE, numbers_are_unique=not trained.card["synthetic"])
    return BaseRun(run_dir, trained, splits)


def check_same_source(base: BaseRun, data: SpeciesDataModule) -> None:
    """Raise `RunError` when just one of trunk and recordings is of the demo: the figures would mean nothing."""
    if base.trained.card["synthetic"] != data.synthetic:
        kinds = ("the synthetic demo", "real recordings")
        learned, given = kinds if base.trained.card["synthetic"] else kinds[::-1]
        raise RunError(f"trunk={base.run_dir} was trained on {learned}, and these are {given}; give another trunk")


def check_not_seen(base: BaseRun, data: SpeciesDataModule) -> None:
    """Raise `RunError` when the trunk learned from what would be tested, though that lies elsewhere by now."""
    if data.synthetic:  # demo recordings are known by their place, and share their numbers
        return
    prepared = data.prepared
    tested = [recording for recording in prepared.recordings if prepared.splits[recording.id] == "test"]
    known = [(recording, why) for recording in tested if (why := base.trained.trained_on.reason_seen(recording))]
    if known:
        recording, why = known[0]
        raise RunError(
            f"trunk={base.run_dir} learned from {len(known)} of the {len(tested)} test recordings of "
            f"{data.species.slug} ({recording.path} has {why}); put them where they were then, or train a new trunk"
        )


def enough_for_a_head(counts: Counter) -> bool:
    """Whether a species' training recordings, counted by type, may move the trunk's answer."""
    return sum(count >= MIN_OF_TYPE for count in counts.values()) >= 2


def recordings_fitted_to(data: SpeciesDataModule) -> Counter:
    """By type: those for training, and of features those for validation too, as `EmbeddingClassifier` has it."""
    counts = data.recording_counts()
    return counts["train"] if data.features is None else counts["train"] + counts["val"]


def _in_words(counts: Counter, types: Sequence[str]) -> str:
    return ", ".join(f"{name} {counts[name]}" for name in types)


def print_head_summary(base: BaseRun, data: SpeciesDataModule) -> None:
    """What the head has to learn from, or that the trunk's answer stands."""
    counts, fitted_to = data.recording_counts()["train"], recordings_fitted_to(data)
    if enough_for_a_head(counts):
        found = _in_words(fitted_to, base.types)
        info(f"head on {display_path(base.run_dir)}, fitted to {fitted_to.total()} recordings ({found})")
    else:
        info(
            f"[yellow]too few training recordings of {data.species.slug} for a head ({_in_words(counts, base.types)}; "
            f"needed: {MIN_OF_TYPE} of each of two types): the answer for all species stands, that of "
            f"{display_path(base.run_dir)}[/]"
        )


def describe_head(base: BaseRun, data: SpeciesDataModule, evaluation: Evaluation) -> dict[str, Any]:
    """For `metrics.json`: what the head learned from, how far it moved the answers, and the trunk's own figures."""
    counts, fitted_to = data.recording_counts()["train"], recordings_fitted_to(data)
    by_id = {recording.id: recording for recording in data.prepared.recordings}
    tested = [by_id[id] for id in data.datasets["test"].recording_ids]
    pooled, _ = predict_calibrated(base.trained, tested, data.cache_dir)
    return {
        "trunk": str(base.run_dir),
        "fitted": enough_for_a_head(counts),
        "trained_on": {name: fitted_to[name] for name in base.types},
        "moved": float((evaluation.probabilities - pooled).abs().sum(dim=1).mean() / 2),  # 0 nowhere, 1 to another type
        "pooled": score(pooled, evaluation.true_types, base.types),
    }
