"""Training loop of the original system in plain PyTorch, with which birdnet_nl is compared.

Written from the description of emsn-vocalization and without code of birdnet_nl: segments as float32 in memory, fp32,
contiguous tensors, the default allocator. Two of its faults are left out, so that only speed differs: no recording is
on both sides of the split (the caller's segments are split so), and the best weights are copied. As in
`conf/callbacks/default.yaml`, the best epoch is the one with the best macro-F1 over validation segments.
"""

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.processes import peak_memory_mb

Split = tuple[torch.Tensor, torch.Tensor]  # mels float32 [segments, 1, mels, frames], types int64 [segments]


class PlainNetwork(nn.Module):
    """Network of the original, layer by layer: [batch, 1, mels, frames] -> logits [batch, types]."""

    def __init__(self, types: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, padding=1)
        self.norm1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.norm2 = nn.BatchNorm2d(64)
        self.conv3 = nn.Conv2d(64, 128, kernel_size=3, padding=1)
        self.norm3 = nn.BatchNorm2d(128)
        self.conv4 = nn.Conv2d(128, 256, kernel_size=3, padding=1)
        self.norm4 = nn.BatchNorm2d(256)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.channel_dropout = nn.Dropout2d(0.25)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.hidden = nn.Linear(256, 128)
        self.dropout = nn.Dropout(0.5)
        self.output = nn.Linear(128, types)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        x = self.channel_dropout(self.pool(self.relu(self.norm1(self.conv1(mel)))))
        x = self.channel_dropout(self.pool(self.relu(self.norm2(self.conv2(x)))))
        x = self.channel_dropout(self.pool(self.relu(self.norm3(self.conv3(x)))))
        x = self.average(self.relu(self.norm4(self.conv4(x)))).flatten(1)
        return self.output(self.dropout(self.relu(self.hidden(x))))


def load_split(folder: str | Path, split: str) -> Split:
    """Load the arrays that `benchmarks.segments.save_arrays` wrote."""
    mels = torch.from_numpy(np.load(Path(folder) / f"{split}_mels.npy"))
    return mels, torch.from_numpy(np.load(Path(folder) / f"{split}_types.npy"))


def train_reference(
    train: Split,
    val: Split,
    test: Split,
    *,
    types: int,
    threads: int,
    batch_size: int = 128,
    max_epochs: int = 25,
    patience: int = 5,
    learning_rate_patience: int = 3,
    seed: int = 1,
    predict_each_epoch: bool = False,
) -> dict[str, Any]:
    """Train to the end and predict the test segments with the weights of the best epoch.

    The defaults are the original's new parameter set (`trainer=fast`). `seconds` is the time of all epochs with
    validation, without the test; `test_probabilities` is [test segments, types]. With `predict_each_epoch`,
    `test_probabilities_of_epochs` is a list of the same after each epoch.
    """
    loop = _Loop(train, types, threads, batch_size, seed)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        loop.optimizer, mode="min", factor=0.5, patience=learning_rate_patience, min_lr=1e-6
    )
    seconds: list[float] = []
    scores: list[float] = []
    of_epochs: list[torch.Tensor] = []
    best_weights = copy.deepcopy(loop.network.state_dict())
    while len(seconds) < max_epochs:
        started = time.perf_counter()
        for _ in loop.steps():
            pass
        loss, probabilities = loop.evaluate(val)
        scheduler.step(loss)
        scores.append(macro_f1(probabilities.argmax(1), val[1], types))
        if scores[-1] == max(scores) and scores.count(scores[-1]) == 1:
            best_weights = copy.deepcopy(loop.network.state_dict())
        seconds.append(time.perf_counter() - started)
        if predict_each_epoch:
            of_epochs.append(loop.evaluate(test)[1])
        if len(scores) - 1 - scores.index(max(scores)) >= patience:
            break
    loop.network.load_state_dict(best_weights)
    return {
        "seconds": sum(seconds),
        "seconds_of_epochs": seconds,
        "epochs": len(seconds),
        "best_epoch": scores.index(max(scores)),
        "val_macro_f1": scores,
        "test_probabilities": loop.evaluate(test)[1],
        "test_probabilities_of_epochs": of_epochs,
        "peak_memory_mb": peak_memory_mb(),
    }


def time_steps(folder: str, types: int, threads: int, batch_size: int, segments: int, seed: int = 1) -> dict[str, Any]:
    """Train on the segments saved in `folder` until `segments` were seen; `batches` as of `benchmarks.timed_run`."""
    loop = _Loop(load_split(folder, "train"), types, threads, batch_size, seed)
    batches: list[tuple[int, int, float]] = []
    epoch = seen = 0
    while seen < segments:
        for size in loop.steps():
            batches.append((epoch, size, time.perf_counter()))
            seen += size
            if seen >= segments:
                break
        epoch += 1
    return {"batches": batches, "precision": "fp32", "peak_memory_mb": peak_memory_mb()}


def macro_f1(predicted: torch.Tensor, true_types: torch.Tensor, types: int) -> float:
    """Compute the mean F1 over types; 0 for a type that neither occurs nor is predicted."""
    hits = torch.bincount(true_types[predicted == true_types], minlength=types)
    total = torch.bincount(predicted, minlength=types) + torch.bincount(true_types, minlength=types)
    return float((2 * hits / total.clamp(min=1)).mean())


class _Loop:
    def __init__(self, train: Split, types: int, threads: int, batch_size: int, seed: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        counts = torch.bincount(train[1], minlength=types).float()
        self.network = PlainNetwork(types)
        self.loss = nn.CrossEntropyLoss(weight=counts.sum() / (types * counts.clamp(min=1)))
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)
        self.batch_size = batch_size
        self.loader = DataLoader(TensorDataset(*train), batch_size=batch_size, shuffle=True, num_workers=0)

    def steps(self) -> Iterator[int]:
        """Train for one epoch; yields the number of segments after each step."""
        self.network.train()
        loss_sum, correct = 0.0, 0
        for mels, types in self.loader:
            self.optimizer.zero_grad()
            logits = self.network(mels)
            loss = self.loss(logits, types)
            loss.backward()
            self.optimizer.step()
            loss_sum += loss.item()
            correct += (logits.argmax(1) == types).sum().item()
            yield len(types)

    @torch.no_grad()
    def evaluate(self, split: Split) -> tuple[float, torch.Tensor]:
        """Return the mean loss over batches, and probabilities [segments, types]."""
        self.network.eval()
        losses, probabilities = [], []
        for mels, types in DataLoader(TensorDataset(*split), batch_size=self.batch_size):
            logits = self.network(mels)
            losses.append(self.loss(logits, types).item())
            probabilities.append(logits.softmax(1))
        return sum(losses) / len(losses), torch.cat(probabilities)
