"""Parameters and options of version 0.1 that were renamed or removed, and the error that gives the new name."""

import re
from collections.abc import Sequence

from birdnet_nl.util.errors import SelectionError

REMOVED = ""
RENAMED_KEYS: dict[str, str] = {  # old key or group=option -> new one; keys below a renamed key are renamed too
    "practice": "model.pretrained",
    "practice.use": "model.pretrained",
    "practice.rate_share": "module.pretrained_lr_scale",
    "practice.recordings": "data.synthetic_recordings",
    "practice.weight": "module.synthetic_weight",
    "trunk": "base",
    "crops_per_epoch": "data.crops.per_epoch",
    "crops_per_batch": "data.crops.batch_size",
    "teacher": REMOVED,
    "teacher_knows_test": REMOVED,
    "model=birdnet": "trainer=birdnet",
    "model=student": "trainer=distilled",
    "model=practised": "trainer=frozen",
    "model=head": "trainer=head",
    "model=bands": REMOVED,
    "model=modulation": REMOVED,
    "model.dimensions": "model.blocks",
    "model.penalty": "model.l2",
    "model.kernel_rate": "model.gamma",
    "model.presence": "model.species_score",
    "data.features": "embeddings",
    "data.features=null": "embeddings=none",
    "data.features.invented": "embeddings.synthetic_recordings",
    "data.features_dir": "data.cache_dir",
    "data.remote_dir": "data.cache_dir",
    "data.several_weight": "data.multilabel_weight",
    "data.least_recordings": "data.min_recordings",
    "data.crops=null": "data.crops.enabled=false",
    "data.crops.several_share": "data.crops.multilabel_share",
    "data.crops.bag": REMOVED,
    "loss.kind": REMOVED,
    "loss.bag_pooling": REMOVED,
    "loss.teacher_share": REMOVED,
    "loss.embedding_weight": REMOVED,
    "augment.longest_time_mask": "augment.max_time_mask",
    "augment.widest_band_mask": "augment.max_band_mask",
    "augment.tempo": REMOVED,
    "augment.pitch_bands": REMOVED,
    "augment.background_share": REMOVED,
    "scheduler.warm_up_share": "scheduler.pct_start",
    "callbacks.hopeless": "callbacks.median_pruner",
    "callbacks.averaging.practised_decay": "callbacks.averaging.pretrained_decay",
    "evaluation.figures": "evaluation.plots",
    "evaluation.wanted_accuracy": "evaluation.target_accuracy",
}
PRETRAINED = {"auto": "synthetic", "never": "null"}
RENAMED_VALUES = {
    "practice": PRETRAINED,
    "practice.use": PRETRAINED,
    "model.pooling": {"deviation": "std", "maximum": "max"},
}
REMOVED_VALUES = {"data.num_workers=auto": "data.num_workers=2"}  # with an example of a valid value


def check_renamed(arguments: Sequence[str]) -> None:
    """Raise `SelectionError` with the new names when an override uses names of version 0.1.

    Understands `key=value`, `+key=value`, `++key=value`, `~key` and the values of a sweep (`model=birdnet,emsn_cnn`).
    """
    sentences = [sentence for argument in arguments if (sentence := _explain(argument))]
    if sentences:
        raise SelectionError("; ".join(dict.fromkeys(sentences)))


def _explain(argument: str) -> str | None:
    prefix, key, equals, value = re.fullmatch(r"([+~]*)([^=]*)(=?)(.*)", argument, re.DOTALL).groups()
    if not equals and not prefix:  # a flag
        return None
    for option in value.split(","):
        name = f"{key}={option}"
        if name in REMOVED_VALUES:
            return f"{name} is no longer possible: give a value, as in {REMOVED_VALUES[name]}"
        if name in RENAMED_KEYS:
            return _sentence(name, RENAMED_KEYS[name], name, RENAMED_KEYS[name])
    new_values = RENAMED_VALUES.get(key, {})
    new_value = re.sub(r"[^\[\],]+", lambda item: new_values.get(item[0], item[0]), value)
    for old in _parents(key):
        if old in RENAMED_KEYS:
            new_key = RENAMED_KEYS[old] + key[len(old) :]
            return _sentence(old, RENAMED_KEYS[old], argument, f"{prefix}{new_key}{equals}{new_value}")
    if new_value != value:
        return f"{key} has new names of values: use {prefix}{key}={new_value} instead of {argument}"
    return None


def _parents(key: str) -> list[str]:
    """Return the key and the keys above it, the longest first."""
    parts = key.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _sentence(old: str, new: str, old_argument: str, new_argument: str) -> str:
    if new == REMOVED:
        return f"{old} was removed, because it did not improve accuracy: leave it out (see docs/experiments)"
    return f"{old} is now {new}: use {new_argument} instead of {old_argument}"
