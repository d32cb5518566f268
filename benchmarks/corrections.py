"""Worth of corrections: accuracy against the number of labelled recordings, chosen at random or by uncertainty.

    python -m benchmarks.corrections --root ../recordings --cache cache --plot corrections.png

A classifier is fitted to some recordings. From a pool of others a number is labelled, the least certain ones or random
ones, and the classifier is fitted again with these; or a residual head is fitted to them alone. It is tested on
recordings that are in neither. Two scenes: in `recordists` the recordings are divided by recordist; in `source` the
pool and the test are recordings of one source, as of a station, which the first classifier has never seen.
"""

from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from rich.table import Table
from torch import nn

import birdnet_nl.commands.train_main  # noqa: F401  registers the species and the resolvers of the configuration
from benchmarks.processes import run_part
from birdnet_nl.data.splits import assign_splits, group_of
from birdnet_nl.evaluation.intervals import DRAWS, draw_weights, interval, weighted_metrics
from birdnet_nl.models.registry import build_network, describe_network
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.species.selection import prepare_arguments
from birdnet_nl.training.probe import Probe
from birdnet_nl.util.conf_values import conf_dir

LABELS = (0, 10, 20, 30, 50, 100)
CHOICES = ("random", "uncertain")
WAYS = ("refit", "head")
SCENES = ("recordists", "source")
FOLDS = 5
HEAD_L2 = 10.0  # as in conf/model/residual_head.yaml
METRICS = ("balanced_accuracy", "auroc")


@dataclass(frozen=True)
class Embedded:
    """Recordings of one type each with their embeddings.

    Attributes:
        windows: by recording, float16 [windows, 1 + dimensions].
        truth: index of the type of each recording.
        network: description of the classifier.
    """

    recordings: list[Recording]
    windows: list[torch.Tensor]
    truth: np.ndarray
    types: list[str]
    network: dict[str, Any]

    def batch(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return windows, index of the recording of each, and types of recordings."""
        windows = [self.windows[index] for index in indices]
        counts = torch.tensor([len(rows) for rows in windows])
        of_recording = torch.arange(len(windows)).repeat_interleave(counts)
        return torch.cat(windows), of_recording, torch.from_numpy(self.truth[list(indices)])


def load(root: str, cache: str, trainer: str) -> Embedded:
    """Embed the recordings below `root` as `trainer=birdnet` or `trainer=frozen` does, without duplicates."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        settings = [f"data.root={root}", f"paths.cache={cache}", "data.synthetic_recordings=0"]
        cfg = compose("train", prepare_arguments([f"trainer={trainer}", "data.pool=all", "seed=1", *settings]))
    data = instantiate(cfg.data)
    data.prepare()
    recordings, windows, truth = [], [], []
    by_id = {recording.id: recording for recording in data.prepared.recordings}
    for dataset in data.embedded.datasets.values():
        for index, id in enumerate(dataset.recording_ids):
            rows = dataset.recordings == index
            recordings.append(by_id[id])
            windows.append(dataset.embeddings[rows])
            truth.append(int(dataset.types[rows][0]))
    return Embedded(recordings, windows, np.array(truth), data.prepared.types, describe_network(instantiate(cfg.model)))


def weights_of_types(types: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one-hot targets and sample weights with which all types weigh the same, summing to 1."""
    frequency = torch.bincount(types, minlength=count).float()
    weights = torch.where(frequency > 0, frequency.sum() / frequency.clamp(min=1), torch.zeros(()))
    return nn.functional.one_hot(types, count).float(), (weights / weights[types].sum()).expand(len(types), count)


def fit_classifier(data: Embedded, indices: Sequence[int]) -> nn.Module:
    """Fit the pooled classifier as a run does, without synthetic and multi-label recordings."""
    segments, of_recording, types = data.batch(indices)
    network = build_network(data.network | {"types": len(data.types)})
    with torch.no_grad():
        network.fit_statistics(segments, of_recording)
        features = network.forward_features(segments, of_recording)
        network.fit_scaler(features)
        network.fit_landmarks(features, None)
    Probe(network).fit(features, *weights_of_types(types, len(data.types)), network.l2 / len(types))
    return network


def fit_head(data: Embedded, base: nn.Module, indices: Sequence[int]) -> nn.Module:
    """Fit a residual head on a classifier, to the labelled recordings alone."""
    description = {"_target_": "birdnet_nl.models.residual_head.ResidualHead", "logit_scale": 1.0, "l2": HEAD_L2}
    count = len(data.types)
    head = build_network(description | {"types": count, "base": data.network | {"types": count}})
    head.base.load_state_dict(base.state_dict())
    segments, of_recording, types = data.batch(indices)
    with torch.no_grad():
        features = head.forward_features(segments, of_recording)
        head.fit_scaler(features)
    Probe(head).fit(features, *weights_of_types(types, count), head.l2 / len(types))
    return head


@torch.inference_mode()
def predict(data: Embedded, network: nn.Module, indices: Sequence[int]) -> np.ndarray:
    """Return probabilities [recordings, types]."""
    segments, of_recording, _ = data.batch(indices)
    return network(segments, of_recording).softmax(dim=1).double().numpy()


def divide(data: Embedded, scene: str, source: str, seed: int) -> Iterator[tuple[list[int], list[int], list[int]]]:
    """Yield base, pool and test of each fold, as indices; every recording that is tested is tested once."""
    all_indices = range(len(data.recordings))
    if scene == "source":
        own = [index for index in all_indices if data.recordings[index].source == source]
        base = [index for index in all_indices if data.recordings[index].source != source]
    else:
        own, base = list(all_indices), []
    recordings = [data.recordings[index] for index in own]
    for fold in range(FOLDS):
        splits = assign_splits(recordings, {"train": 0.4, "val": 0.4, "test": 0.2}, seed, FOLDS, fold)
        parts = defaultdict(list)
        for index in own:
            parts[splits[data.recordings[index].id]].append(index)
        if scene == "source":
            yield base, parts["train"] + parts["val"], parts["test"]
        else:
            yield parts["train"], parts["val"], parts["test"]


def choose(certainty: np.ndarray, count: int, choice: str, rng: np.random.Generator) -> np.ndarray:
    """Return the positions of `count` recordings of a pool; `certainty` is the largest probability of each."""
    order = certainty.argsort(kind="stable") if choice == "uncertain" else rng.permutation(len(certainty))
    return order[:count]


def simulate(data: Embedded, scene: str, source: str, seeds: int, labels: Sequence[int]) -> dict[str, Any]:
    """Return metrics by way, choice and number of labels, and how many of the labelled ones were predicted wrongly."""
    probabilities: dict[tuple[str, str, int], list[np.ndarray]] = defaultdict(list)
    wrong: dict[tuple[str, int], list[float]] = defaultdict(list)
    sizes: list[tuple[int, int]] = []
    tested: list[int] = []
    for seed in range(1, seeds + 1):
        order: list[int] = []
        parts: dict[tuple[str, str, int], list[np.ndarray]] = defaultdict(list)
        for fold, (base, pool, test) in enumerate(divide(data, scene, source, seed)):
            order += test
            sizes.append((len(base), len(pool)))
            first = fit_classifier(data, base)
            before = predict(data, first, pool)
            is_wrong = before.argmax(axis=1) != data.truth[pool]
            for choice in CHOICES:
                for count in labels:
                    rng = np.random.default_rng([seed, fold])
                    chosen = choose(before.max(axis=1), count, choice, rng)
                    labelled = [pool[position] for position in chosen]
                    if count:
                        wrong[choice, count].append(float(is_wrong[chosen].mean()))
                    for way in WAYS:
                        network = first if not count else _again(data, first, base, labelled, way)
                        parts[way, choice, count].append(predict(data, network, test))
        position = np.argsort(order)
        tested = sorted(order)
        for key, rows in parts.items():
            probabilities[key].append(np.concatenate(rows)[position])
    result = summarise(data, tested, probabilities)
    result["wrong_share"] = {choice: {n: float(np.mean(wrong[choice, n])) for n in labels if n} for choice in CHOICES}
    result |= {"base": float(np.mean([a for a, _ in sizes])), "pool": float(np.mean([b for _, b in sizes]))}
    return result | {"tested": len(tested), "seeds": seeds}


def _again(data: Embedded, first: nn.Module, base: list[int], labelled: list[int], way: str) -> nn.Module:
    return fit_classifier(data, base + labelled) if way == "refit" else fit_head(data, first, labelled)


def summarise(
    data: Embedded, tested: Sequence[int], probabilities: dict[tuple[str, str, int], list[np.ndarray]]
) -> dict[str, Any]:
    """Return metrics averaged over seeds with 95 % intervals over recordists, and the same of the gain over none."""
    names = [group_of(data.recordings[index]) for index in tested]
    columns = {name: column for column, name in enumerate(sorted(set(names)))}
    groups = np.array([columns[name] for name in names])
    weights = np.concatenate([np.ones((1, len(columns))), draw_weights(len(columns), DRAWS, seed=0)])
    drawn = {
        key: _mean([weighted_metrics(seed, data.truth[list(tested)], groups, data.types, weights) for seed in of_seeds])
        for key, of_seeds in probabilities.items()
    }
    result: dict[str, Any] = {way: {choice: {} for choice in CHOICES} for way in WAYS}
    for (way, choice, count), metrics in drawn.items():
        none, random = drawn[way, choice, 0], drawn[way, "random", count]
        result[way][choice][count] = {
            name: {
                "mean": float(values[0]),
                "interval": interval(float(values[0]), values[1:], len(columns)),
                "gain": difference(values, none[name], len(columns)),
                "over_random": difference(values, random[name], len(columns)),
            }
            for name, values in metrics.items()
        }
    return result


def _mean(of_seeds: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.mean([metrics[name] for metrics in of_seeds], axis=0) for name in METRICS}


def difference(values: np.ndarray, other: np.ndarray, n_groups: int) -> list[float]:
    """Return the difference of two metrics on the same draws, the first without drawing, and its 95 % interval."""
    draws = values[1:] - other[1:]
    reach = 1.96 * float(np.nanstd(draws, ddof=1)) * np.sqrt(n_groups / max(1, n_groups - 1))
    middle = float(values[0] - other[0])
    return [middle, middle - reach, middle + reach]


def measure(
    quick: bool = False,
    root: str = "../recordings",
    cache: str = "cache",
    trainers: Sequence[str] = ("birdnet", "frozen"),
    scenes: Sequence[str] = SCENES,
    source: str = "S14",
    seeds: int = 10,
    plot: str | None = None,
) -> dict[str, Any]:
    """Simulate each scene with each trainer; `source` names the one that stands for a station."""
    torch.set_num_threads(1)
    labels = (0, 10, 30) if quick else LABELS
    result: dict[str, Any] = {}
    for trainer in trainers:
        data = load(root, cache, trainer)
        for scene in scenes:
            result[f"{trainer}, {scene}"] = simulate(data, scene, source, 1 if quick else seeds, labels)
    if plot:
        draw(result, Path(plot))
    return result


def draw(result: dict[str, Any], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4 * ((len(result) + 1) // 2)), layout="constrained")
    panels = np.atleast_1d(figure.subplots((len(result) + 1) // 2, min(2, len(result)))).ravel()
    colours = {"random": "0.5", "uncertain": "tab:blue"}
    for axes, (title, values) in zip(panels, result.items(), strict=False):
        for way, line in zip(WAYS, ("o-", "s--"), strict=True):
            for choice in CHOICES:
                points = values[way][choice]
                counts = [int(count) for count in points]
                gains = [100 * points[count]["balanced_accuracy"]["gain"][0] for count in points]
                axes.plot(counts, gains, line, color=colours[choice], label=f"{way}, {choice}", markersize=4)
                if way == "refit" and choice == "uncertain":
                    low, high = (
                        [100 * points[count]["balanced_accuracy"]["gain"][side] for count in points] for side in (1, 2)
                    )
                    axes.fill_between(counts, low, high, color=colours[choice], alpha=0.15, linewidth=0)
        axes.axhline(0, color="0.8", linewidth=1)
        axes.set(title=title, xlabel="labelled recordings", ylabel="gain in balanced accuracy, points")
    panels[0].legend(fontsize=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)


def table(result: dict[str, Any]) -> Table:
    shown = Table(title="Balanced accuracy [95 %] after labelling; gain in points")
    for heading in (
        "scene",
        "way",
        "choice",
        "labels",
        "balanced accuracy",
        "gain",
        "over random",
        "AUROC",
        "were wrong",
    ):
        shown.add_column(heading, justify="left" if heading in ("scene", "way", "choice") else "right")
    for scene, values in result.items():
        for way in WAYS:
            for choice in CHOICES:
                for count, metrics in values[way][choice].items():
                    accuracy = metrics["balanced_accuracy"]
                    share = values["wrong_share"][choice].get(count)
                    shown.add_row(
                        scene, way, choice, str(count),
                        f"{accuracy['mean']:.3f} ({accuracy['interval'][0]:.2f}–{accuracy['interval'][1]:.2f})",
                        _points(accuracy["gain"]), _points(accuracy["over_random"]),
                        f"{metrics['auroc']['mean']:.3f}", "" if share is None else f"{share:.0%}",
                    )  # fmt: skip
            shown.add_section()
    return shown


def _points(values: Sequence[float]) -> str:
    middle, low, high = (100 * value for value in values)
    return f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--root", default="../recordings", help="folder with real recordings")
    parser.add_argument("--cache", default="cache")
    parser.add_argument("--trainers", nargs="+", default=("birdnet", "frozen"))
    parser.add_argument("--scenes", nargs="+", default=SCENES, choices=SCENES)
    parser.add_argument("--source", default="S14", help="collection that stands for a station")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--plot", help="write a picture to this file")


if __name__ == "__main__":
    run_part("corrections")
