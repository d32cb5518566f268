"""Which run teaches, and that none does that knows the test."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from birdnet_nl.evaluation.trained_on import TrainedOn
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.runs.teaching import check_not_seen, check_unteachable, describe_teacher, find_teacher
from birdnet_nl.training.checkpoint import CARD
from birdnet_nl.util.errors import RunError


@pytest.fixture
def sweep(tmp_path, make_finished_run) -> Path:
    """Two seeds of three folds."""
    for seed in (1, 2):
        for fold in range(3):
            folder = tmp_path / "sweep" / f"{seed}-{fold}"
            make_finished_run(folder, "turbo", seed=seed, fold=fold, folds=3, pool=["koolmees", "merel"])
    return tmp_path / "sweep"


def test_of_a_sweep_the_run_of_the_same_seed_and_fold_teaches(sweep):
    for seed in (1, 2):
        for fold in range(3):
            assert find_teacher(sweep, seed, 3, fold) == sweep / f"{seed}-{fold}"


@pytest.mark.parametrize(("seed", "folds", "fold"), [(3, 3, 0), (1, 5, 0), (1, None, None)])
def test_a_fold_that_is_not_there_is_told_with_those_that_are(sweep, seed, folds, fold):
    with pytest.raises(RunError, match=rf"holds no finished run with seed {seed} and .*seed 1 fold 0, seed 1 fold 1"):
        find_teacher(sweep, seed, folds, fold)


def test_two_of_the_same_are_not_guessed_between(sweep, make_finished_run):
    make_finished_run(sweep / "again", "turbo", seed=1, fold=0, folds=3, pool=["koolmees", "merel"])
    with pytest.raises(RunError, match="holds 2 runs with seed 1 and fold 0 of 3; give one, such as"):
        find_teacher(sweep, 1, 3, 0)


def test_a_run_named_itself_teaches_whatever_its_seed(sweep):
    (sweep / "2-1" / "config.yaml").write_text("species: {slug: merel}\n")
    assert find_teacher(sweep / "2-1", 1, None, None) == sweep / "2-1"


def test_mistakes_are_one_sentence(sweep, tmp_path):
    with pytest.raises(RunError, match=r"teacher=.*nowhere is not a folder; give a run directory"):
        find_teacher(tmp_path / "nowhere", 1, None, None)
    (tmp_path / "stopped").mkdir()
    (tmp_path / "stopped" / "config.yaml").write_text("")
    with pytest.raises(RunError, match=r"is not finished; go on with python train\.py resume="):
        find_teacher(tmp_path / "stopped", 1, None, None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="there are: none"):
        find_teacher(tmp_path / "empty", 1, None, None)


def recording(id: str) -> Recording:
    return Recording(id, Path(f"{id}.mp3"), "merel", "song", "song")


def test_a_teacher_that_learned_from_a_test_recording_is_refused_unless_allowed():
    knows = TrainedOn(frozenset({"XC1", "XC2"}), (), frozenset(), Counter())
    check_not_seen(Path("run"), knows, [recording("XC3")], allowed=False)
    with pytest.raises(RunError, match=r"learned from 1 of the 2 test recordings \(such as XC2\)"):
        check_not_seen(Path("run"), knows, [recording("XC2"), recording("XC3")], allowed=False)
    check_not_seen(Path("run"), knows, [recording("XC2")], allowed=True)


def test_a_teacher_that_does_not_say_what_it_learned_from_is_refused():
    with pytest.raises(RunError, match=r"no splits\.csv"):
        check_not_seen(Path("run"), None, [recording("XC3")], allowed=False)
    check_not_seen(Path("run"), None, [recording("XC3")], allowed=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fitted_at_once": True}, r"^teacher= is for a network that is trained in steps, such as model=compact_cnn"),
        ({"loss_kind": "each"}, r"^loss\.kind=each asks of every type .*; take loss\.kind=one, or no teacher$"),
        ({"source": "spectrograms"}, r"^data=spectrograms holds parts of recordings, and a teacher hears whole ones"),
    ],
)
def test_a_run_that_would_learn_nothing_from_a_teacher_is_refused(change, message):
    able = {"loss_kind": "one", "source": "demo", "fitted_at_once": False}
    check_unteachable(**able)
    with pytest.raises(ValueError, match=message):
        check_unteachable(**able | change)


@pytest.mark.parametrize(
    "card", [{"features": {"name": "birdnet"}}, {"features": None, "teacher_features": {"name": "birdnet"}}]
)
def test_what_a_teacher_hears_with_is_known_to_its_students_and_to_theirs(tmp_path, card):
    (tmp_path / "checkpoints").mkdir()
    torch.save({"state_dict": {}, CARD: card}, tmp_path / "checkpoints/best.ckpt")
    assert describe_teacher(tmp_path) == {"teacher": str(tmp_path.resolve()), "teacher_features": {"name": "birdnet"}}
