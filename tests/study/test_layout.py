from collections import Counter
from itertools import chain, product

import pytest

from ieast.errors import StudyError
from ieast.study.layout import lay_out
from ieast.study.plan import MOST, Plan

PAPER = (Plan(), 7, 150, 40)
PLANS = [
    PAPER,
    (Plan(participants=9, pairs=4, per_method=2, real=3, seed=5), 3, 13, 7),  # nothing divides anything
    (Plan(participants=11, pairs=5, per_method=3, real=2), 4, 7, 2),  # fewer pairs than a participant sees
    (Plan(participants=1, pairs=6, per_method=6, real=0), 2, 6, 0),  # everything there is
    (Plan(participants=30, pairs=0, per_method=1, real=1), 5, 6, 3),
    (Plan(participants=8, pairs=3, per_method=0, real=0), 8, 3, 0),
]


def names(methods, pairs, artworks):
    return [f"m{k}" for k in range(methods)], [f"{k:03d}" for k in range(pairs)], [f"a{k}" for k in range(artworks)]


def shown(questions, kind):
    return [picture for question in questions if question.kind == kind for picture in question.pictures]


def spread(counts, everything):
    actual = [counts[each] for each in everything]
    return max(actual) - min(actual)


@pytest.fixture(params=PLANS, ids=str)
def laid_out(request):
    plan, *sizes = request.param
    methods, pairs, artworks = names(*sizes)
    return plan, methods, pairs, artworks, lay_out(plan, methods, pairs, artworks)


def test_everybody_is_asked_as_much_as_was_planned(laid_out):
    plan, methods, _, _, layout = laid_out
    assert len(layout) == plan.participants
    for questions in layout:
        kinds = [question.kind for question in questions]
        deception = plan.per_method * len(methods) + plan.real
        assert kinds == ["deception"] * deception + ["preference"] * plan.pairs
        counts = Counter(picture.name if picture.kind == "stylized" else "" for picture in shown(questions, "deception"))
        assert counts == Counter(dict.fromkeys(methods, plan.per_method) | {"": plan.real}) + Counter()


def test_a_preference_question_shows_every_method_on_one_pair(laid_out):
    _, methods, _, _, layout = laid_out
    for questions in layout:
        for question in questions:
            if question.kind == "preference":
                assert sorted(picture.name for picture in question.pictures) == methods
                assert len({picture.pair for picture in question.pictures}) == 1


def test_every_pair_is_preferred_on_equally_often_and_by_nobody_twice(laid_out):
    plan, _, pairs, _, layout = laid_out
    asked = [[question.pictures[0].pair for question in questions if question.kind == "preference"] for questions in layout]
    assert all(len(set(each)) == plan.pairs for each in asked)
    assert spread(Counter(chain.from_iterable(asked)), pairs) <= 1


def test_every_method_stands_in_every_place_equally_often(laid_out):
    _, methods, _, _, layout = laid_out
    orders = [question.pictures for questions in layout for question in questions if question.kind == "preference"]
    places = Counter((place, picture.name) for order in orders for place, picture in enumerate(order))
    assert spread(places, product(range(len(methods)), methods)) <= 1


def test_every_stylization_and_artwork_is_judged_equally_often_and_by_nobody_twice(laid_out):
    _, methods, pairs, artworks, layout = laid_out
    counts = Counter(picture for questions in layout for picture in shown(questions, "deception"))
    by_name = Counter({(picture.name, picture.pair): count for picture, count in counts.items()})
    assert spread(by_name, product(methods, pairs)) <= 1
    if artworks:
        assert spread(by_name, [(artwork, "") for artwork in artworks]) <= 1
    assert all(max(Counter(shown(questions, "deception")).values(), default=1) == 1 for questions in layout)


def test_nobody_judges_a_pair_twice_where_there_are_enough(laid_out):
    plan, methods, pairs, _, layout = laid_out
    enough = len(methods) * plan.per_method <= len(pairs)
    for questions in layout:
        seen = Counter(picture.pair for picture in shown(questions, "deception") if picture.kind == "stylized")
        assert spread(seen, pairs) <= 1
        assert not enough or max(seen.values(), default=0) <= 1


def test_with_the_papers_numbers_nobody_sees_a_pair_in_both_parts():
    layout = lay_out(PAPER[0], *names(*PAPER[1:]))
    for questions in layout:
        seen = {picture.pair for picture in shown(questions, "deception")}
        assert not seen & {picture.pair for picture in shown(questions, "preference")}


def test_a_study_that_ends_early_is_nearly_balanced():
    plan, *sizes = PAPER
    methods, pairs, artworks = names(*sizes)
    layout = lay_out(plan, methods, pairs, artworks)[:20]
    asked = Counter(picture.pair for questions in layout for picture in shown(questions, "preference"))
    judged = Counter(picture for questions in layout for picture in shown(questions, "deception") if picture.pair)
    assert spread(asked, pairs) <= 2 * len(methods)  # each question shows all methods: twice a pair at most
    assert max(judged.values()) - min(judged.values()) <= 1
    assert len(judged) == len(methods) * len(pairs)


def test_the_seed_and_nothing_else_decides():
    methods, pairs, artworks = names(4, 12, 6)
    plan = Plan(participants=5, pairs=4, per_method=3, real=2, seed=1)
    layout = lay_out(plan, methods, pairs, artworks)
    assert layout == lay_out(plan, methods[::-1], pairs[::-1], artworks[::-1])
    assert layout != lay_out(Plan(participants=5, pairs=4, per_method=3, real=2, seed=2), methods, pairs, artworks)


def test_orders_are_random():
    layout = lay_out(PAPER[0], *names(*PAPER[1:]))
    orders = Counter(
        tuple(picture.name for picture in question.pictures)
        for questions in layout
        for question in questions
        if question.kind == "preference"
    )
    assert len(orders) > 600  # of 1000 questions; 7 methods have 5040 orders
    firsts = Counter(questions[0].pictures[0].kind for questions in layout)
    assert 0 < firsts["artwork"] < 20  # an eighth of what is judged are artworks


@pytest.mark.parametrize(
    ("plan", "sizes", "message"),
    [
        (Plan(participants=0), (3, 30, 20), "--participants is 0; a study has between 1 and 1000"),
        (Plan(participants=MOST + 1), (3, 30, 20), "--participants is 1001"),
        (Plan(real=-1), (3, 30, 20), "cannot be negative"),
        (Plan(pairs=0, per_method=0, real=0), (3, 30, 20), "a study without questions"),
        (Plan(), (1, 30, 20), "compares two methods or more"),
        (Plan(pairs=31), (3, 30, 20), "--pairs is 31, and the benchmark has 30 pairs. Ask for fewer"),
        (Plan(per_method=31), (3, 30, 20), "--per-method is 31, and the benchmark has 30 pairs"),
        (Plan(real=21), (3, 30, 20), "--real is 21, and there are 20 artworks. Ask for fewer, or name a folder of more"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(plan, sizes, message):
    with pytest.raises(StudyError, match=message):
        lay_out(plan, *names(*sizes))
