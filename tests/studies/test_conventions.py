import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.conventions import ABSENT, Conventions, Difference, differing, ensure_same

OURS = Conventions({"rank.dtype": "float32", "rank.frame_stride": 1, "pilot.keyword.shots": "all"})


def test_every_setting_that_differs_is_named_with_both_values():
    theirs = Conventions({"rank.dtype": "bfloat16", "rank.frame_stride": 1, "rank.channel": "mix"})
    assert differing(OURS, theirs) == (
        Difference("pilot.keyword.shots", "all", ABSENT),
        Difference("rank.channel", ABSENT, "mix"),
        Difference("rank.dtype", "float32", "bfloat16"),
    )


def test_differing_is_symmetric_but_for_the_sides():
    theirs = Conventions({"rank.dtype": "bfloat16"})
    turned = [Difference(each.setting, each.right, each.left) for each in differing(theirs, OURS)]
    assert turned == list(differing(OURS, theirs))


def test_true_is_not_one_but_one_point_nought_is():
    assert differing(Conventions({"a": True}), Conventions({"a": 1}))
    assert not differing(Conventions({"a": 1}), Conventions({"a": 1.0}))


def test_what_all_share_is_returned():
    assert ensure_same({"seed 0": OURS, "seed 1": OURS}) == OURS


def test_one_that_differs_is_refused_by_name():
    with pytest.raises(UsageError, match=r"rank\.dtype") as refused:
        ensure_same({"seed 0": OURS, "seed 1": Conventions({**OURS.settings, "rank.dtype": "bfloat16"})})
    assert "seed 0 and seed 1" in str(refused.value)
    assert "bfloat16" in str(refused.value)


def test_nothing_is_no_convention():
    with pytest.raises(UsageError, match="nothing to compare"):
        ensure_same({})


def test_a_part_keeps_the_names():
    assert OURS.part("rank.").document() == {"rank.dtype": "float32", "rank.frame_stride": 1}
