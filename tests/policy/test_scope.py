"""What is governed, ungated, exempt or uncovered: one answer of all policies, in whatever order they come."""

from __future__ import annotations

import evidence
import hypothesis
import pytest
from evidence import policy, rule
from exemptions import exemption
from hypothesis import strategies as st

from mlflow_rank.policy import Standing, decide, standing

CHAMPION, CANDIDATE, PRODUCTION, ARCHIVED = "alias:champion", "alias:candidate", "stage:Production", "stage:Archived"
HORN = exemption("horn*")


def of(*models: str, targets="any", ungated=(), name: str = "speech"):
    match = {"models": list(models), "targets": targets, "ungated_aliases": list(ungated)}
    return policy(match=match, metadata={"name": name})


def watching(*models: str):
    match = {"models": list(models), "targets": "any"}
    return policy(rule("no_open_alarm"), kind="WatchPolicy", match=match, metadata={"name": "watch"})


SPEECH = of("speech-*", targets=[CHAMPION], ungated=["candidate", "exp-*"])
ALL = of("*", targets=[PRODUCTION], name="all")
CASES = [
    # policies, model, target, kind, reason
    ([], "horn", CHAMPION, "uncovered", "No policy and no exemption names horn."),
    ([SPEECH, HORN], "bell", CHAMPION, "uncovered", "No policy and no exemption names bell."),
    ([SPEECH], "speech-one", CHAMPION, "governed", "Policy speech is asked when speech-one goes to alias:champion."),
    (
        [of("*", name="any"), SPEECH],
        "speech-one",
        CHAMPION,
        "governed",
        "Policies any and speech are asked when speech-one goes to alias:champion.",
    ),
    ([SPEECH], "speech-one", CANDIDATE, "ungated", "Policy speech leaves alias:candidate of speech-one ungated."),
    (
        [of("*", ungated=["cand*"], name="any"), SPEECH],
        "speech-one",
        CANDIDATE,
        "ungated",
        "Policies any and speech leave alias:candidate of speech-one ungated.",
    ),
    (
        [SPEECH],
        "speech-one",
        "alias:latest-good",
        "uncovered",
        "No policy is asked when speech-one goes to alias:latest-good, and policy speech does not ungate it.",
    ),
    (
        [ALL, SPEECH],
        "speech-one",
        CANDIDATE,
        "uncovered",
        "No policy is asked when speech-one goes to alias:candidate, and policy all does not ungate it.",
    ),
    (
        [of("*", name="any"), SPEECH],
        "speech-one",
        CANDIDATE,
        "governed",
        "Policy any is asked when speech-one goes to alias:candidate.",
    ),
    (
        [SPEECH],
        "speech-one",
        PRODUCTION,
        "uncovered",
        "No policy is asked when speech-one goes to stage:Production, and policy speech does not ungate it.",
    ),
    ([HORN], "horn-2", PRODUCTION, "exempt", "horn-2 is exempt by the exemption not-speech."),
    ([HORN], "horn-2", CHAMPION, "exempt", "horn-2 is exempt by the exemption not-speech."),
    (
        [HORN, exemption("*-2", name="two")],
        "horn-2",
        CHAMPION,
        "exempt",
        "horn-2 is exempt by the exemptions not-speech and two.",
    ),
    (
        [HORN, SPEECH, of("*-2", targets=[CHAMPION], name="two")],
        "horn-2",
        PRODUCTION,
        "uncovered",
        "No policy is asked when horn-2 goes to stage:Production, and policy two does not ungate it.",
    ),
    (
        [SPEECH],
        "speech-one",
        ARCHIVED,
        "ungated",
        "stage:Archived takes speech-one out of use, and no policy names that stage.",
    ),
    (
        [of("*")],
        "speech-one",
        ARCHIVED,
        "ungated",
        "stage:Archived takes speech-one out of use, and no policy names that stage.",
    ),
    ([], "bell", "stage:None", "ungated", "stage:None takes bell out of use, and no policy names that stage."),
    (
        [of("*", targets=[ARCHIVED])],
        "bell",
        ARCHIVED,
        "governed",
        "Policy speech is asked when bell goes to stage:Archived.",
    ),
    ([HORN], "horn", "stage:None", "exempt", "horn is exempt by the exemption not-speech."),
    ([watching("*")], "bell", CHAMPION, "uncovered", "No policy and no exemption names bell."),
    ([watching("*"), HORN], "horn", CHAMPION, "exempt", "horn is exempt by the exemption not-speech."),
]


@pytest.mark.parametrize(("policies", "model", "target", "kind", "reason"), CASES)
def test_every_standing_has_its_reason(policies, model, target, kind, reason):
    found = standing(policies, model, target)

    assert (found.model, found.target, found.kind, found.reason) == (model, target, kind, reason)
    assert found.left_alone == (kind in ("ungated", "exempt"))
    assert bool(found.policies) == (kind == "governed")


@pytest.mark.parametrize("spelling", ["alias:Champion", "ALIAS:champion", " alias:champion", "alias:ｃhampion"])
def test_another_spelling_of_a_target_stands_as_the_target_does(spelling):
    assert standing([SPEECH], "speech-one", spelling) == standing([SPEECH], "speech-one", CHAMPION)


@pytest.mark.parametrize("spelling", ["alias:exp-A", "Alias:EXP-a"])
def test_an_ungated_alias_is_known_in_every_spelling(spelling):
    assert standing([SPEECH], "speech-one", spelling).kind == "ungated"


@pytest.mark.parametrize("target", ["champion", "alias:сhampion", "alias:exp-é", "stage:Live", "alias:", ""])
def test_what_is_no_target_is_uncovered_and_says_why(target):
    found = standing([of("*", ungated=["exp-*"])], "speech-one", target)

    assert found.kind == "uncovered"
    assert found.reason.startswith("No policy can be asked: ")


def test_an_exempt_model_is_left_alone_whatever_its_aliases_are_called():
    assert standing([HORN], "horn", "alias:ü").kind == "exempt"


@pytest.mark.parametrize("model", ["Horn", "a-horn", "hor"])
def test_upper_and_lower_case_and_the_whole_of_a_name_matter(model):
    assert standing([HORN], model, CHAMPION).kind == "uncovered"


# laws

GLOBS = st.lists(st.sampled_from(["*", "a*", "b", "[ab]c", "?"]), min_size=1, max_size=2, unique=True)
NAMED = st.lists(st.sampled_from([CHAMPION, "alias:best", PRODUCTION, ARCHIVED]), min_size=1, max_size=3, unique=True)
UNGATED = st.lists(st.sampled_from(["candidate", "cand*", "exp-?", "[a-b]?[!a]*"]), max_size=2, unique=True)
MODELS = st.sampled_from(["a", "ab", "b", "bc", "Z"])
ALIASES = (CHAMPION, CANDIDATE, "alias:best", "alias:exp-1", "alias:other")
TARGETS = st.sampled_from([*ALIASES, PRODUCTION, "stage:Staging", ARCHIVED, "stage:None"])
ANYTHING = st.one_of(TARGETS, st.text(max_size=12), st.text(max_size=9).map("alias:{}".format))


@st.composite
def promotions(draw: st.DrawFn):
    targets, ungated = draw(st.one_of(st.just("any"), NAMED)), draw(UNGATED)
    if "alias:best" in targets:
        ungated = [glob for glob in ungated if not glob.startswith("[")]  # which matches it, and would be refused
    return of(*draw(GLOBS), targets=targets, ungated=ungated, name=draw(st.sampled_from(["one", "two", "three"])))


EXEMPTIONS = st.builds(lambda globs, name: exemption(*globs, name=name), GLOBS, st.sampled_from(["horns", "bells"]))
POLICIES = st.lists(st.one_of(promotions(), EXEMPTIONS, st.builds(watching, st.sampled_from(["*", "a*"]))), max_size=4)


@hypothesis.given(POLICIES, MODELS, TARGETS, st.randoms())
def test_the_order_of_policies_and_how_often_they_are_there_make_no_difference(policies, model, target, random):
    shuffled = policies + policies[:1]
    random.shuffle(shuffled)

    assert standing(shuffled, model, target) == standing(policies, model, target)


@hypothesis.given(POLICIES, promotions(), EXEMPTIONS, MODELS, TARGETS)
def test_an_exemption_changes_nothing_for_a_model_that_a_policy_names(policies, naming, added, model, target):
    hypothesis.assume(naming.match.names(model))
    before = [*policies, naming]

    assert standing([*before, added], model, target) == standing(before, model, target)


@hypothesis.given(POLICIES, promotions(), promotions(), MODELS, TARGETS)
def test_another_policy_never_ungates_what_is_governed_or_refused_for_a_named_model(
    policies, naming, added, model, target
):
    hypothesis.assume(naming.match.names(model))
    before, after = (standing(which, model, target) for which in ([*policies, naming], [*policies, naming, added]))

    assert before.left_alone or not after.left_alone
    assert {each.digest for each in before.policies} <= {each.digest for each in after.policies}


@hypothesis.given(POLICIES, promotions(), MODELS, TARGETS)
def test_another_policy_takes_away_no_policy_that_is_asked_and_exempts_no_model(policies, added, model, target):
    before, after = standing(policies, model, target), standing([*policies, added], model, target)

    assert before.kind != "governed" or after.kind == "governed"
    assert after.kind != "exempt" or before.kind == "exempt"


@hypothesis.given(POLICIES, MODELS, TARGETS)
def test_who_is_asked_is_who_decides(policies, model, target):
    found = standing(policies, model, target)
    asking = [each for each in policies if each.kind == "PromotionPolicy"]

    decision = decide(asking, evidence.case(model=model, target=target), evidence.NOW)

    if found.kind == "governed":
        assert list(found.policies) == [ruling.policy for ruling in decision.rulings]
    elif target not in (ARCHIVED, "stage:None"):  # of which `any` decides when it is asked, and the gate does not ask
        assert decision.rulings == ()


@hypothesis.given(POLICIES, MODELS, st.sampled_from([CHAMPION, "stage:Staging", PRODUCTION]))
def test_champion_staging_and_production_are_left_alone_only_where_a_model_is_exempt(policies, model, target):
    found = standing(policies, model, target)

    assert not found.left_alone or found.kind == "exempt"


@hypothesis.given(POLICIES, MODELS, ANYTHING)
def test_there_is_always_an_answer_and_its_reason_is_a_sentence(policies, model, target):
    found = standing(policies, model, target)

    assert isinstance(found, Standing)
    assert found.reason.endswith(".")
