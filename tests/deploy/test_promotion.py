"""The best run by validation is promoted; a version never gets worse unless asked, and only like is compared."""

import pytest

from birdnet_nl.deploy.new_version import make_version
from birdnet_nl.deploy.promotion import (
    BETTER,
    EQUAL,
    KEPT,
    NEW,
    NOT_COMPARABLE,
    UNCHANGED,
    WORSE,
    choose_candidates,
    plan_promotion,
)
from birdnet_nl.util.errors import RunError

HALF, MOST, ALL = [True, False] * 18, [True] * 30 + [False] * 6, [True] * 36


def best_of(*runs, allow_synthetic=False):
    return choose_candidates(runs, allow_synthetic)[0]


def version_with(models, run, allow_synthetic=False):
    return make_version(models, "1", plan_promotion([run], None, allow_synthetic, False))[0]


@pytest.fixture
def base(make_shippable_run, tmp_path):
    return version_with(tmp_path / "models", make_shippable_run(tmp_path / "before", right=MOST, weights_seed=7))


def decide(base, run, accept_worse=False, allow_synthetic=False):
    return plan_promotion([run], base, allow_synthetic, accept_worse).decisions["koolmees"]


def test_validation_chooses_and_never_the_test(make_shippable_run, tmp_path):
    good_test = make_shippable_run(tmp_path / "a", right=0.95, validation=0.6)
    good_validation = make_shippable_run(tmp_path / "b", right=0.4, validation=0.7, seed=2)
    assert good_test.scores["balanced_accuracy"] > good_validation.scores["balanced_accuracy"]
    assert best_of(good_test, good_validation) == {"koolmees": good_validation}


def test_of_equal_runs_the_newest_is_chosen(make_shippable_run, tmp_path):
    newest = make_shippable_run(tmp_path / "a", finished=2.0)
    older = make_shippable_run(tmp_path / "b", finished=1.0)
    assert best_of(older, newest) == best_of(newest, older) == {"koolmees": newest}


def test_more_types_precede_a_higher_metric_on_fewer(make_shippable_run, tmp_path):
    three = make_shippable_run(tmp_path / "a", validation=0.6)
    two = make_shippable_run(tmp_path / "b", validation=0.9, types=("song", "call"))
    assert best_of(three, two) == {"koolmees": three}


def test_each_species_and_each_pool_has_its_own_candidate(make_shippable_run, tmp_path):
    runs = [make_shippable_run(tmp_path / slug, "fast", slug) for slug in ("koolmees", "merel")]
    runs.append(make_shippable_run(tmp_path / "pool", pool=["koolmees", "merel"]))
    assert list(best_of(*runs)) == ["koolmees", "merel", "pool-koolmees-merel"]


def test_synthetic_runs_may_be_allowed_but_never_precede_real_ones(make_shippable_run, tmp_path):
    synthetic = make_shippable_run(tmp_path / "a", synthetic=True, validation=0.99)
    real = make_shippable_run(tmp_path / "b", validation=0.5)
    assert best_of(synthetic, allow_synthetic=True) == {"koolmees": synthetic}
    assert best_of(synthetic, real, allow_synthetic=True) == {"koolmees": real}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"split_by": "segment"}, "validated on recordings it was trained on"),
        ({"shuffled": True}, "a control without information"),
        ({"folds": 5, "fold": 0}, "one fold of a cross-validation"),
        ({"synthetic": True}, "trained on synthetic demo recordings only"),
    ],
)
def test_runs_that_must_not_be_promoted_are_refused_with_the_reason(make_shippable_run, tmp_path, options, reason):
    run = make_shippable_run(tmp_path / "a", **options)
    best, (left_out,) = choose_candidates([run], allow_synthetic=False)
    assert not best and reason in left_out.reason and left_out.what == str(run.folder)


def test_a_run_without_its_checkpoint_is_refused(make_shippable_run, tmp_path):
    run = make_shippable_run(tmp_path / "a")
    (run.folder / "checkpoints/best.ckpt").unlink()
    assert "best.ckpt is missing" in choose_candidates([run], False)[1][0].reason


def test_nothing_to_promote_is_one_sentence_with_the_first_reason(make_shippable_run, tmp_path):
    run = make_shippable_run(tmp_path / "now", synthetic=True)
    with pytest.raises(RunError, match=r"none of the 1 runs can be promoted; .*now: trained on synthetic"):
        plan_promotion([run], None, False, False)


def test_a_better_network_is_taken(base, make_shippable_run, tmp_path):
    decision = decide(base, make_shippable_run(tmp_path / "now", right=ALL))
    assert (decision.verdict, decision.takes_run) == (BETTER, True)
    assert decision.reason.endswith("→ 100.0% on the same 36 test recordings")


def test_a_worse_network_is_taken_only_when_accepted(base, make_shippable_run, tmp_path):
    run = make_shippable_run(tmp_path / "now", right=HALF)
    decision = decide(base, run)
    assert (decision.verdict, decision.takes_run) == (WORSE, False)
    assert decision.sha256 == base.models["koolmees"]["sha256"]
    decision = decide(base, run, accept_worse=True)
    assert (decision.verdict, decision.takes_run) == (WORSE, True)
    assert decision.sha256 != base.models["koolmees"]["sha256"]


def test_an_equal_network_is_taken_and_the_same_one_changes_nothing(base, make_shippable_run, tmp_path):
    decision = decide(base, make_shippable_run(tmp_path / "now", right=MOST, weights_seed=8))
    assert (decision.verdict, decision.takes_run) == (EQUAL, True)
    decision = decide(base, make_shippable_run(tmp_path / "again", right=MOST, weights_seed=7))
    assert (decision.verdict, decision.takes_run) == (UNCHANGED, False)


def test_metrics_on_other_test_recordings_are_not_compared(base, make_shippable_run, tmp_path):
    decision = decide(base, make_shippable_run(tmp_path / "now", right=HALF, first_id=500))
    assert (decision.verdict, decision.takes_run) == (NOT_COMPARABLE, True)
    assert "other test recordings" in decision.reason and "%" not in decision.reason


def test_a_lost_type_makes_a_network_worse_and_a_gained_type_not_comparable(base, make_shippable_run, tmp_path):
    two = make_shippable_run(tmp_path / "two", right=1.0, types=("song", "call"))
    decision = decide(base, two)
    assert (decision.verdict, decision.takes_run, decision.reason) == (WORSE, False, "no longer predicts alarm")
    decision = decide(version_with(tmp_path / "m2", two), make_shippable_run(tmp_path / "three", right=HALF))
    assert (decision.verdict, decision.takes_run) == (NOT_COMPARABLE, True) and "alarm" in decision.reason


def test_real_always_replaces_synthetic_and_never_the_reverse(base, make_shippable_run, tmp_path):
    synthetic = make_shippable_run(tmp_path / "now", right=ALL, synthetic=True, weights_seed=3)
    assert decide(base, synthetic, allow_synthetic=True).verdict == WORSE
    of_synthetic = version_with(tmp_path / "m2", synthetic, allow_synthetic=True)
    decision = decide(of_synthetic, make_shippable_run(tmp_path / "real", right=HALF))
    assert (decision.verdict, decision.takes_run) == (BETTER, True)


def test_species_without_a_new_run_keep_their_model_and_new_species_join(base, make_shippable_run, tmp_path):
    decisions = plan_promotion([make_shippable_run(tmp_path / "now", "fast", "merel")], base, False, False).decisions
    assert {slug: decision.verdict for slug, decision in decisions.items()} == {"koolmees": KEPT, "merel": NEW}
    assert decisions["koolmees"].sha256 == base.models["koolmees"]["sha256"]
