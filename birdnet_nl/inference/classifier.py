"""A trained network with what its run left beside it: what it learned from, and how its answers were decided."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from birdnet_nl.evaluation.calibration import Calibration
from birdnet_nl.evaluation.trained_on import TrainedOn, read_trained_on
from birdnet_nl.training.checkpoint import Classifier, load_classifier
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import BEST, CONFIG, METRICS, SPLITS_FILE, read_config, read_json


@dataclass(frozen=True)
class TrainedNetwork:
    """A network as its run left it.

    Attributes:
        home: the run directory, or the folder of a checkpoint that stands alone.
        at_temperature_1: the classifier before any temperature, whose answers `calibration` turns into probabilities.
        decided: False for a run that was not tested, so that temperature, pooling and threshold are no decisions.
        wanted_accuracy: what the threshold was chosen for; None where it is not known.
        trained_on: None where no `splits.csv` tells.
        split_by, flight_call: as the run was told.
    """

    checkpoint: Path
    home: Path
    at_temperature_1: Classifier
    calibration: Calibration
    threshold: float | None
    decided: bool
    wanted_accuracy: float | None
    trained_on: TrainedOn | None
    split_by: str
    flight_call: str

    @property
    def card(self) -> Mapping[str, Any]:
        return self.at_temperature_1.card


def load_trained(target: Path) -> TrainedNetwork:
    """From a run directory or a `.ckpt` file; raises `RunError` where there is none."""
    checkpoint = find_checkpoint(target)
    home = checkpoint.parent.parent if checkpoint.parent.name == BEST.parent.name else checkpoint.parent
    classifier = load_classifier(checkpoint)
    card = classifier.card
    report = read_json(home / METRICS) if (home / METRICS).is_file() else {}
    settings = read_config(home).get("data", {}) if (home / CONFIG).is_file() else {}
    split_by = settings.get("split_by", "recording")
    return TrainedNetwork(
        checkpoint=checkpoint,
        home=home,
        at_temperature_1=replace(classifier, card={**card, "temperature": 1.0}),
        calibration=Calibration(
            card["temperature"],
            card.get("pooling", "mean"),
            report.get("calibration", {}).get("fitted_on", 0),
            card.get("temperatures_of_species", {}),
        ),
        threshold=card.get("threshold"),
        decided="pooling" in card,
        wanted_accuracy=report.get("decision", {}).get("wanted_accuracy"),
        trained_on=_trained_on(home, card, split_by),
        split_by=split_by,
        flight_call=settings.get("flight_call", "call"),
    )


def _trained_on(home: Path, card: Mapping[str, Any], split_by: str) -> TrainedOn | None:
    """Of a head also what its trunk learned from, as long as that lies where it was."""
    own = read_trained_on(home / SPLITS_FILE, card["synthetic"], split_by)
    base = card.get("trunk")
    of_trunk = read_trained_on(Path(base) / SPLITS_FILE, card["synthetic"], "recording") if base else None
    return own.joined(of_trunk) if own and of_trunk else own


def find_checkpoint(target: Path) -> Path:
    """The file itself, or a run's best checkpoint."""
    if target.is_file():
        return target
    if not target.exists():
        raise RunError(
            f"{target} is not there; give a run directory such as logs/fast/koolmees/<time>, or a .ckpt file"
        )
    for place in (target / BEST, target / BEST.name):
        if place.is_file():
            return place
    if (target / CONFIG).is_file():
        raise RunError(
            f"{target} holds no {BEST}: the run was stopped before its first epoch ended; go on with "
            f"python train.py resume={target}"
        )
    below = sorted(path.parent.parent for path in target.rglob(BEST.as_posix()))
    hint = f"give one of the runs below it, such as {below[-1]}" if below else "give a run directory or a .ckpt file"
    raise RunError(f"{target} is not a run; {hint}")
