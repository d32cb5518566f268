"""A user who types a name of version 0.1 gets one sentence with the new name."""

import pytest

from birdnet_nl.util.errors import SelectionError
from birdnet_nl.util.renamed import REMOVED, REMOVED_VALUES, RENAMED_KEYS, check_renamed


def error_for(*arguments: str) -> str:
    with pytest.raises(SelectionError) as caught:
        check_renamed(arguments)
    return str(caught.value)


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, new in RENAMED_KEYS.items() if new != REMOVED])
def test_every_renamed_key_and_option_gives_the_new_name(old, new):
    is_option = "=" in old
    argument, replacement = (old, new) if is_option else (f"{old}=x", f"{new}=x")
    assert error_for("species=koolmees", argument) == f"{old} is now {new}: use {replacement} instead of {argument}"


@pytest.mark.parametrize("old", [old for old, new in RENAMED_KEYS.items() if new == REMOVED])
def test_every_removed_key_and_option_gives_the_reason(old):
    assert error_for(old if "=" in old else f"{old}=x").startswith(f"{old} was removed, because it did not improve")


def test_new_names_are_not_old_names():
    assert not set(RENAMED_KEYS.values()) & (set(RENAMED_KEYS) | set(REMOVED_VALUES))


@pytest.mark.parametrize(
    ("argument", "replacement"),
    [
        ("practice.use=never", "model.pretrained=null"),
        ("practice.use=auto", "model.pretrained=synthetic"),
        ("practice.use=auto,never", "model.pretrained=synthetic,null"),
        ("practice.use=weights/auto.pt", "model.pretrained=weights/auto.pt"),
        ("+practice.weight=2", "+module.synthetic_weight=2"),
        ("++model.penalty=0.1,0.2", "++model.l2=0.1,0.2"),
        ("~callbacks.hopeless", "~callbacks.median_pruner"),
        ("callbacks.hopeless.min_trials=3", "callbacks.median_pruner.min_trials=3"),
        ("data.features.steps=10", "embeddings.steps=10"),
        ("data.features.invented=10", "embeddings.synthetic_recordings=10"),
        ("model.pooling=[mean,deviation]", "model.pooling=[mean,std]"),
    ],
)
def test_values_and_prefixes_are_kept_or_translated(argument, replacement):
    assert f": use {replacement} instead of {argument}" in error_for(argument)


@pytest.mark.parametrize("argument", ["model=birdnet,compact_cnn", "model=compact_cnn,birdnet", "+model=birdnet"])
def test_a_renamed_option_is_found_among_the_values_of_a_sweep(argument):
    assert error_for(argument) == "model=birdnet is now trainer=birdnet: use trainer=birdnet instead of model=birdnet"


def test_automatic_workers_give_an_example_of_a_number():
    sentence = error_for("data.num_workers=auto")
    assert sentence == "data.num_workers=auto is no longer possible: give a value, as in data.num_workers=2"


def test_several_old_names_are_reported_together():
    assert error_for("trunk=logs/x", "seed=2", "evaluation.figures=false").count(" is now ") == 2


def test_other_arguments_are_accepted():
    check_renamed([
        "-m", "--plan", "--cfg", "job", "species=koolmees,merel", "trainer=birdnet", "model=compact_cnn", "base=logs/x",
        "model.pretrained=null", "data.num_workers=0,2", "data.crops.bagging=1", "+model.pooling=[mean,std]",
        "~callbacks.progress", "resume=logs/trunk",
    ])  # fmt: skip
