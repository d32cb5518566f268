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


def version_with(models, run):
    return make_version(models, "1", plan_promotion([run], None, True, False))[0]


@pytest.fixture
def base(make_shippable_run, tmp_path):
    return version_with(tmp_path / "models", make_shippable_run(tmp_path / "before", right=MOST, weights_seed=7))


def decide(base, run, accept_worse=False):
    return plan_promotion([run], base, True, accept_worse).decisions["koolmees"]


@pytest.mark.parametrize(
    ("chosen", "other"),
    [
        ({"right": 0.4, "validation": 0.7, "seed": 2}, {"right": 0.95, "validation": 0.6}),  # whatever the test metric
        ({"finished": 2.0}, {"finished": 1.0}),
        ({"validation": 0.6}, {"validation": 0.9, "types": ("song", "call")}),
        ({"validation": 0.5}, {"validation": 0.99, "synthetic": True}),
    ],
    ids=["validation", "newest", "more types", "real recordings"],
)
def test_the_best_run_of_a_species_is_chosen(make_shippable_run, tmp_path, chosen, other):
    chosen, other = make_shippable_run(tmp_path / "a", **chosen), make_shippable_run(tmp_path / "b", **other)
    for runs in ((chosen, other), (other, chosen)):
        assert choose_candidates(runs, allow_synthetic=True)[0] == {"koolmees": chosen}


def test_each_species_and_each_pool_has_its_own_candidate(make_shippable_run, tmp_path):
    runs = [make_shippable_run(tmp_path / slug, "fast", slug) for slug in ("koolmees", "merel")]
    runs.append(make_shippable_run(tmp_path / "pool", pool=["koolmees", "merel"]))
    assert list(choose_candidates(runs, allow_synthetic=False)[0]) == ["koolmees", "merel", "pool-koolmees-merel"]


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


@pytest.mark.parametrize(
    ("options", "verdict", "takes_run", "reason"),
    [
        ({"right": ALL}, BETTER, True, "83.3% → 100.0% on the same 36 test recordings"),
        ({"right": MOST, "weights_seed": 8}, EQUAL, True, "83.3% → 83.3% on the same 36 test recordings"),
        ({"right": MOST, "weights_seed": 7}, UNCHANGED, False, "the same network"),
        ({"first_id": 500}, NOT_COMPARABLE, True, "other test recordings, so the metrics are not comparable"),
        ({"right": 1.0, "types": ("song", "call")}, WORSE, False, "no longer predicts alarm"),
        ({"right": ALL, "synthetic": True}, WORSE, False, "synthetic in place of real"),
    ],
)
def test_the_verdict_on_a_new_network(base, make_shippable_run, tmp_path, options, verdict, takes_run, reason):
    decision = decide(base, make_shippable_run(tmp_path / "now", **options))
    assert (decision.verdict, decision.takes_run, decision.reason) == (verdict, takes_run, reason)


def test_a_worse_network_is_taken_only_when_accepted(base, make_shippable_run, tmp_path):
    run = make_shippable_run(tmp_path / "now", right=HALF)
    decision = decide(base, run)
    assert (decision.verdict, decision.takes_run) == (WORSE, False)
    assert decision.sha256 == base.models["koolmees"]["sha256"]
    decision = decide(base, run, accept_worse=True)
    assert (decision.verdict, decision.takes_run) == (WORSE, True)
    assert decision.sha256 != base.models["koolmees"]["sha256"]


def test_a_gained_type_is_not_comparable_and_real_replaces_synthetic(make_shippable_run, tmp_path):
    two_types = make_shippable_run(tmp_path / "two", right=1.0, types=("song", "call"))
    synthetic = make_shippable_run(tmp_path / "synthetic", right=ALL, synthetic=True, weights_seed=3)
    run = make_shippable_run(tmp_path / "now", right=HALF)
    decision = decide(version_with(tmp_path / "m1", two_types), run)
    assert (decision.verdict, decision.takes_run) == (NOT_COMPARABLE, True) and "alarm" in decision.reason
    decision = decide(version_with(tmp_path / "m2", synthetic), run)
    assert (decision.verdict, decision.takes_run) == (BETTER, True)


def test_species_without_a_new_run_keep_their_model_and_new_species_join(base, make_shippable_run, tmp_path):
    decisions = plan_promotion([make_shippable_run(tmp_path / "now", "fast", "merel")], base, False, False).decisions
    assert {slug: decision.verdict for slug, decision in decisions.items()} == {"koolmees": KEPT, "merel": NEW}
    assert decisions["koolmees"].sha256 == base.models["koolmees"]["sha256"]
