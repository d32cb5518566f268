"""Crops of one recording that answer together for it, as segments do in the test.

A type is known of a recording, not of each of its seconds. The loss looks at the pooled answer alone, so a crop in
which nothing is heard may leave the answer to the others.
"""

import math

import torch

POOLINGS = ("mean", "log_mean_exp")  # of those of evaluation/pooling.py; crops are active ones already


def pool_bags(logits: torch.Tensor, bag: int, pooling: str) -> torch.Tensor:
    """Answers of bags from those of their crops, which follow each other: [bags · bag, types] -> [bags, types].

    Gives log probabilities, where `evaluation.pooling.pool_segments` gives probabilities for a recording.
    """
    answers = logits.unflatten(0, (-1, bag)).log_softmax(dim=2)  # -> [bags, bag, types]
    if pooling == "log_mean_exp":
        answers = answers - answers.mean(dim=2, keepdim=True)  # against the geometric mean of the types
    return answers.logsumexp(dim=1).log_softmax(dim=1)


def pool_each(logits: torch.Tensor, bag: int) -> torch.Tensor:
    """Logits of each type by itself, the log of the mean of exponentials over the crops: [bags, types]."""
    return logits.unflatten(0, (-1, bag)).logsumexp(dim=1) - math.log(bag)
