"""Validation chooses the run that is shipped; what must not meet a real bird is refused with the reason."""

import pytest

from birdnet_nl.deploy.candidates import choose_candidates


def best_of(runs, allow_synthetic=False):
    return choose_candidates(runs, allow_synthetic).best


def test_validation_chooses_and_never_the_test(make_shippable_run, tmp_path):
    good_test = make_shippable_run(tmp_path / "a", right=0.95, validation=0.6)
    good_validation = make_shippable_run(tmp_path / "b", right=0.4, validation=0.7, seed=2)
    assert good_test.scores["balanced_accuracy"] > good_validation.scores["balanced_accuracy"]
    assert best_of([good_test, good_validation]) == {"koolmees": good_validation}


def test_of_equal_ones_the_newest_is_taken(make_shippable_run, tmp_path):
    newest = make_shippable_run(tmp_path / "a", finished=2.0)
    older = make_shippable_run(tmp_path / "b", finished=1.0)
    assert best_of([older, newest]) == best_of([newest, older]) == {"koolmees": newest}


def test_more_types_go_before_a_higher_figure_on_fewer(make_shippable_run, tmp_path):
    three = make_shippable_run(tmp_path / "a", validation=0.6)
    two = make_shippable_run(tmp_path / "b", validation=0.9, types=("song", "call"))
    assert best_of([three, two]) == {"koolmees": three}


def test_each_species_and_each_pool_has_its_own(make_shippable_run, tmp_path):
    runs = [make_shippable_run(tmp_path / slug, "fast", slug) for slug in ("koolmees", "merel")]
    runs.append(make_shippable_run(tmp_path / "pool", pool=["koolmees", "merel"]))
    assert list(best_of(runs)) == ["koolmees", "merel", "pool-koolmees-merel"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"split_by": "segment"}, "validated on recordings it was trained on"),
        ({"shuffled": True}, "a control that learned nothing"),
        ({"folds": 5, "fold": 0}, "one fold of a cross-validation"),
        ({"overrides": ["teacher=logs/x", "teacher_knows_test=true"]}, "had learned from its test recordings"),
        ({"synthetic": True}, "knows no real birds"),
    ],
)
def test_runs_that_must_not_be_shipped_are_refused_with_the_reason(make_shippable_run, tmp_path, options, reason):
    found = choose_candidates([make_shippable_run(tmp_path / "a", **options)], allow_synthetic=False)
    assert not found.best
    assert reason in found.left_out[0].reason and found.left_out[0].what == str(tmp_path / "a")


def test_a_run_without_its_checkpoint_is_refused(make_shippable_run, tmp_path):
    run = make_shippable_run(tmp_path / "a")
    (run.folder / "checkpoints/best.ckpt").unlink()
    assert "best.ckpt is gone" in choose_candidates([run], False).left_out[0].reason


def test_synthetic_ones_may_be_allowed_but_never_go_before_real_ones(make_shippable_run, tmp_path):
    synthetic = make_shippable_run(tmp_path / "a", synthetic=True, validation=0.99)
    real = make_shippable_run(tmp_path / "b", validation=0.5)
    assert best_of([synthetic], allow_synthetic=True) == {"koolmees": synthetic}
    assert best_of([synthetic, real], allow_synthetic=True) == {"koolmees": real}
