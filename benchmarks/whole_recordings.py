"""Features of whole recordings: which pooling and penalty to take, and what is left for a species never trained on.

    python -m benchmarks.whole_recordings --root ../recordings                   # choose; needs the extra [birdnet]
    python -m benchmarks.whole_recordings --root ../recordings --values model.landmarks=0 model.presence=false
    python -m benchmarks.whole_recordings --root ../recordings --poolings mean+deviation --practice 1500
    python -m benchmarks.whole_recordings --root ../recordings --species-out     # leave one species out after another

Choosing looks at validation only: within the recordings of a fold that are not tested, four parts answer each other
(recordists apart), and the choice of each fold is then tested on its own test recordings. The last line is therefore
what an honest choice is worth; the lines above it are what each choice is worth in validation.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.model_selection import StratifiedGroupKFold
from torch import nn

from benchmarks.our_run import compose_run
from birdnet_nl.data.splits import assign_splits
from birdnet_nl.evaluation.evaluate import recordist_indices
from birdnet_nl.evaluation.metrics import score
from birdnet_nl.models.recording_classifier import RecordingClassifier
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.training.probe import Beside, fit

FOLDS, PARTS = 5, 4
SHORT_SEGMENTS = 5  # up to 10.5 s
FIGURES = ("balanced_accuracy", "auroc")
POOLINGS = (
    ("mean",), ("present_mean",), ("maximum",), ("log_mean_exp",), ("mean", "maximum"), ("present_mean", "maximum"),
    ("mean", "deviation"), ("present_mean", "deviation"),
)  # fmt: skip
LEARNED = (("attention",), ("attention", "deviation"))
PENALTIES = (0.05, 0.1, 0.3)


@dataclass(frozen=True, eq=False)
class Bags:
    """Recordings with the features of their segments [segments, 1 + dimensions].

    Attributes:
        sizes: arguments of `RecordingClassifier` beside types, pooling and penalty.
        practice: features, indices of recordings and types of invented recordings; None for none.
    """

    recordings: list[Recording]
    features: list[torch.Tensor]
    truth: np.ndarray
    groups: np.ndarray
    types: list[str]
    sizes: dict[str, Any]
    practice: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def batch(self, chosen: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        features = [self.features[index] for index in chosen]
        lengths = torch.tensor([len(rows) for rows in features])
        return torch.cat(features), torch.arange(len(chosen)).repeat_interleave(lengths)

    def network(self, pooling: Sequence[str], l2: float) -> RecordingClassifier:
        return RecordingClassifier(len(self.types), pooling=pooling, l2=l2, **self.sizes)

    @cache  # noqa: B019  there is one such object
    def pooled(self, pooling: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Features of all recordings and of the invented ones, [recordings, width]; where nothing is learned for it."""
        with torch.no_grad():
            network = self.network(pooling, l2=1.0)
            batch = self.batch(range(len(self.recordings)))
            network.settle(*batch)  # on all of them, for speed; no types are looked at
            invented = None if self.practice is None else network.features(*self.practice[:2])
            return network.features(*batch), invented


def load_bags(root: Path, model: str, cache: str | None, values: Sequence[str] = (), pretrained: int = 0) -> Bags:
    """All recordings of one type below `root`, as `python train.py data.pool=all model=…` takes them."""
    from hydra.utils import instantiate

    from birdnet_nl.embeddings.synthetic import embed_synthetic
    from birdnet_nl.species.table import Species

    where = [f"paths.cache={cache}"] if cache else []
    cfg = compose_run(["species=pool", "data.pool=all", f"model={model}", f"data.root={root}", *where, *values])
    data = instantiate(cfg.data, species=Species(**cfg.species), mel=instantiate(cfg.mel), _convert_="object")
    prepared = data.prepare()
    own: dict[str, torch.Tensor] = {}
    for dataset in data.feature_datasets.values():
        for index, id in enumerate(dataset.recording_ids):
            own[id] = dataset.features[dataset.recordings == index].float()
    recordings = list(prepared.recordings)
    truth = np.array([prepared.types.index(recording.vocalization_type) for recording in recordings])
    features = [own[recording.id] for recording in recordings]
    sizes = {
        name: cfg.model[name] for name in ("dimensions", "presence", "landmarks", "kernel_rate") if name in cfg.model
    }
    practice = None
    if pretrained:
        heard = embed_synthetic(data.features, pretrained, data.segment_hop_s, data.features_dir, data.decode_workers)
        types = torch.tensor([prepared.types.index(name) for name in heard.types])
        practice = (torch.from_numpy(heard.windows), torch.from_numpy(heard.recordings), types)
    return Bags(recordings, features, truth, recordist_indices(recordings), prepared.types, sizes, practice)


def answer(bags: Bags, train: Sequence[int], test: Sequence[int], pooling: Sequence[str], l2: float) -> np.ndarray:
    """Fitted to `train` as a run fits, probabilities of `test` [recordings, types]; of several types none are known."""
    network = bags.network(pooling, l2)
    truth = torch.from_numpy(bags.truth[train])
    counts = torch.bincount(truth, minlength=len(bags.types)).float()
    loss = nn.CrossEntropyLoss(weight=counts.sum() / (len(counts) * counts.clamp(min=1)))
    if network.learns_features:
        features_of = {"train": bags.batch(train), "test": bags.batch(test)}
        network.settle(*features_of["train"])
        fit(network, lambda: network.features(*features_of["train"]), truth, loss)
        with torch.no_grad():
            return network(*features_of["test"]).softmax(dim=1).numpy()
    pooled, invented = bags.pooled(tuple(pooling))
    beside = [] if invented is None else [Beside(lambda: invented, bags.practice[2], 1.0, aligned=True)]
    fit(network, lambda: pooled[train], truth, loss, beside)
    with torch.no_grad():
        return network.answer(pooled[test]).softmax(dim=1).numpy()


def figures(bags: Bags, probabilities: np.ndarray, chosen: Sequence[int]) -> dict[str, float]:
    """Of all `chosen` recordings, and of the short ones among them alone, of which none can be told by its length."""
    short = [index for index in chosen if len(bags.features[index]) <= SHORT_SEGMENTS]
    found: dict[str, float] = {}
    for name, indices in (("", list(chosen)), ("_short", short)):
        answers, truth = torch.from_numpy(probabilities[indices]).float(), torch.from_numpy(bags.truth[indices])
        scores = score(answers, truth, bags.types)
        found |= {f"{figure}{name}": scores[figure] for figure in FIGURES}
    return found


def choose(bags: Bags, seeds: Sequence[int], choices: Sequence[tuple[Sequence[str], float]]) -> dict[str, Any]:
    """Validation figures of each choice, and the test of what each fold chose by them."""
    validation: dict[tuple, list[dict[str, Any]]] = {choice: [] for choice in choices}
    tested, taken = [], Counter()
    for seed in seeds:
        probabilities = np.zeros((len(bags.truth), len(bags.types)))
        for fold in range(FOLDS):
            shares = {"train": 0.6, "val": 0.2, "test": 0.2}
            splits = assign_splits(bags.recordings, shares, seed, FOLDS, fold)
            is_test = np.array([splits[recording.id] == "test" for recording in bags.recordings])
            known, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
            parts = StratifiedGroupKFold(PARTS, shuffle=True, random_state=seed)
            parts = list(parts.split(known, bags.truth[known], bags.groups[known]))
            for choice in choices:
                answers = np.zeros_like(probabilities)
                for train, held in parts:
                    answers[known[held]] = answer(bags, known[train], known[held], *choice)
                validation[choice].append(figures(bags, answers, known))
            best = max(choices, key=lambda choice: validation[choice][-1]["auroc"])
            taken[best] += 1
            probabilities[test] = answer(bags, known, test, *best)
        tested.append(figures(bags, probabilities, range(len(bags.truth))))
    return {
        "validation": [
            {"pooling": list(pooling), "penalty": l2, **_means(validation[pooling, l2])} for pooling, l2 in choices
        ],
        "chosen": [{"pooling": list(choice[0]), "penalty": choice[1], "folds": n} for choice, n in taken.most_common()],
        "test": _means(tested),
    }


def leave_species_out(bags: Bags, pooling: Sequence[str], l2: float) -> dict[str, Any]:
    """Every recording answered by a network that met neither its species nor its recordist."""
    species = np.array([recording.species for recording in bags.recordings])
    probabilities = np.zeros((len(bags.truth), len(bags.types)))
    for slug in np.unique(species):
        test = np.flatnonzero(species == slug)
        train = np.flatnonzero((species != slug) & ~np.isin(bags.groups, bags.groups[test]))
        probabilities[test] = answer(bags, train, test, pooling, l2)
    return {"species": len(np.unique(species)), **figures(bags, probabilities, range(len(bags.truth)))}


def _means(found: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def table(result: dict[str, Any]) -> Table:
    columns = ("balanced_accuracy", "auroc", "balanced_accuracy_short", "auroc_short")
    shown = Table("pooling", "penalty", "balanced accuracy", "AUROC", "short ones: bal. acc.", "AUROC")
    for row in sorted(result["validation"], key=lambda row: -row["auroc"]):
        shown.add_row(" + ".join(row["pooling"]), f"{row['l2']:g}", *(f"{row[name]:.3f}" for name in columns))
    shown.add_section()
    shown.add_row("test of each fold's choice", "", *(f"{result['test'][name]:.3f}" for name in columns))
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of real recordings")
    parser.add_argument("--model", default="birdnet", help="a model of features: birdnet or bands")
    parser.add_argument("--cache", help="folder of mels and features, as paths.cache")
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--species-out", action="store_true")
    parser.add_argument("--attention", action="store_true", help="choose among poolings that are learned, minutes each")
    parser.add_argument("--poolings", nargs="*", metavar="KINDS", help="such as mean+deviation; without it all of them")
    parser.add_argument("--values", nargs="*", default=[], metavar="KEY=VALUE", help="as for train.py")
    parser.add_argument("--practice", type=int, default=0, help="invented recordings beside the real ones")
    parser.add_argument("--pooling", nargs="*", default=["mean", "deviation"], help="of --species-out")
    parser.add_argument("--penalty", type=float, default=0.05, help="of --species-out")
    parser.add_argument("--quick", action="store_true", help="only try it out: few choices")
    parser.add_argument("--json", type=Path, help="write the figures here")
    asked = parser.parse_args()
    bags = load_bags(asked.root, asked.model, asked.cache, asked.values, asked.practice)
    if asked.species_out:
        result = leave_species_out(bags, asked.pooling, asked.l2)
        Console().print(result)
    else:
        poolings = LEARNED if asked.attention else POOLINGS
        if asked.poolings:
            poolings = [tuple(kinds.split("+")) for kinds in asked.poolings]
        choices = list(product(poolings, PENALTIES))
        result = choose(bags, asked.seeds, choices[1:6:3] if asked.quick else choices)
        Console().print(table(result))
        Console().print(result["chosen"])
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
