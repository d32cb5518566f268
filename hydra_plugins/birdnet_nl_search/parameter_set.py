"""The best values of a search as a file of `conf/trainer/`."""

from collections.abc import Collection, Mapping
from typing import Any

import yaml


def parameter_set_of(values: Mapping[str, Any], base: str, groups: Collection[str], score: float, trials: int) -> str:
    """A parameter set that takes `base` and changes `values`; keys among `groups` name options, others values.

    Floats keep their digits, so that the set trains what the search trained.
    """
    defaults: list[Any] = [base, "_self_"]
    defaults += [{f"override /{key}": value} for key, value in values.items() if key in groups]
    tree: dict[str, Any] = {}
    for key, value in values.items():
        if key in groups:
            continue
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    head = f"# @package _global_\n# Found by a search of {trials} trials: validation {score:.1%} per recording.\n"
    body = yaml.safe_dump({"defaults": defaults}, sort_keys=False)
    return head + body + ("\n" + yaml.safe_dump(tree, sort_keys=False) if tree else "")
