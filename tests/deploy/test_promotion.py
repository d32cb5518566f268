"""A version never makes a species worse unless told, and never compares what does not compare."""

import pytest

from birdnet_nl.deploy.make_version import make_version
from birdnet_nl.deploy.promotion import APART, BETTER, EQUAL, KEPT, NEW, UNCHANGED, WORSE, plan_promotion
from birdnet_nl.util.errors import RunError

HALF, MOST, ALL = [True, False] * 18, [True] * 30 + [False] * 6, [True] * 36


@pytest.fixture
def base(make_shippable_run, tmp_path):
    run = make_shippable_run(tmp_path / "before", right=MOST, weights_seed=7)
    return make_version(tmp_path / "models", "1", plan_promotion([run], None, False, False))[0]


def decide(base, run, accept_worse=False, allow_synthetic=False):
    return plan_promotion([run], base, allow_synthetic, accept_worse).decisions["koolmees"]


def test_a_better_network_is_taken(base, make_shippable_run, tmp_path):
    decision = decide(base, make_shippable_run(tmp_path / "now", right=ALL))
    assert (decision.verdict, decision.takes_run) == (BETTER, True)
    assert decision.reason.endswith("→ 100.0% on the same 36 test recordings")


def test_a_worse_one_stays_out_unless_told(base, make_shippable_run, tmp_path):
    run = make_shippable_run(tmp_path / "now", right=HALF)
    decision = decide(base, run)
    assert (decision.verdict, decision.takes_run) == (WORSE, False)
    assert decision.sha256 == base.models["koolmees"]["sha256"]
    decision = decide(base, run, accept_worse=True)
    assert (decision.verdict, decision.takes_run) == (WORSE, True)
    assert decision.sha256 != base.models["koolmees"]["sha256"]


def test_an_equal_one_is_taken_and_the_same_one_is_nothing_new(base, make_shippable_run, tmp_path):
    decision = decide(base, make_shippable_run(tmp_path / "now", right=MOST, weights_seed=8))
    assert (decision.verdict, decision.takes_run) == (EQUAL, True)
    decision = decide(base, make_shippable_run(tmp_path / "again", right=MOST, weights_seed=7))
    assert (decision.verdict, decision.takes_run) == (UNCHANGED, False)


def test_other_test_recordings_are_said_and_not_compared(base, make_shippable_run, tmp_path):
    decision = decide(base, make_shippable_run(tmp_path / "now", right=HALF, first_id=500))
    assert (decision.verdict, decision.takes_run) == (APART, True)
    assert "other test recordings" in decision.reason and "%" not in decision.reason


def test_a_type_that_is_lost_makes_it_worse_and_one_that_is_gained_is_not_compared(base, make_shippable_run, tmp_path):
    two = make_shippable_run(tmp_path / "two", right=1.0, types=("song", "call"))
    decision = decide(base, two)
    assert (decision.verdict, decision.takes_run, decision.reason) == (WORSE, False, "no longer tells alarm")
    with_two = make_version(tmp_path / "m2", "1", plan_promotion([two], None, False, False))[0]
    decision = decide(with_two, make_shippable_run(tmp_path / "three", right=HALF))
    assert (decision.verdict, decision.takes_run) == (APART, True) and "alarm" in decision.reason


def test_synthetic_never_takes_the_place_of_real_and_real_always_that_of_synthetic(base, make_shippable_run, tmp_path):
    synthetic = make_shippable_run(tmp_path / "now", right=ALL, synthetic=True, weights_seed=3)
    assert decide(base, synthetic, allow_synthetic=True).verdict == WORSE
    with_synthetic = make_version(tmp_path / "m2", "1", plan_promotion([synthetic], None, True, False))[0]
    decision = decide(with_synthetic, make_shippable_run(tmp_path / "real", right=HALF))
    assert (decision.verdict, decision.takes_run) == (BETTER, True)


def test_species_without_a_new_run_keep_their_model_and_new_ones_join(base, make_shippable_run, tmp_path):
    decisions = plan_promotion([make_shippable_run(tmp_path / "now", "fast", "merel")], base, False, False).decisions
    assert {slug: decision.verdict for slug, decision in decisions.items()} == {"koolmees": KEPT, "merel": NEW}
    assert decisions["koolmees"].sha256 == base.models["koolmees"]["sha256"]


def test_nothing_to_ship_is_one_sentence_with_the_first_reason(make_shippable_run, tmp_path):
    run = make_shippable_run(tmp_path / "now", synthetic=True)
    with pytest.raises(RunError, match=r"none of the 1 runs can be promoted; .*now: trained on synthetic"):
        plan_promotion([run], None, False, False)
