"""Who is asked what: the study's questions, decided before anybody is asked.

Pairs lie on a circle in an order drawn once. For the first participant every method in turn takes the next `per_method`
pairs; for each further one all start one such step later. So a method comes to stand on all pairs equally often (numbers
differ by one at most), and where the circle is long enough nobody sees a pair twice. The pairs for preference questions are
windows on the same circle, `pairs` wide and one after the other, hence shown equally often, too; each participant gets the
window that overlaps least with what else they see. Artworks go round a circle of their own. Orders side by side are rows of
Latin squares, drawn anew for each square.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.optimize import linear_sum_assignment

from ieast.study.benchmark import Source
from ieast.study.plan import Kind, Plan

T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """One question to one participant.

    Attributes:
        kind: Whether it was painted by a human artist, or which picture is preferred.
        pictures: In the order shown; one, if the question is of deception.
    """

    kind: Kind
    pictures: tuple[Source, ...]


def lay_out(plan: Plan, methods: Sequence[str], pairs: Sequence[str], artworks: Sequence[str]) -> list[list[Question]]:
    """The questions of every participant, in the order asked.

    Deception comes first: whoever has compared stylizations side by side knows what to look for.

    Args:
        plan: How many of each.
        methods: Names of methods, at least two.
        pairs: Ids of pairs.
        artworks: Names of real artworks.

    Returns:
        A list of questions for each participant, decided by `plan.seed` and the names alone.

    Raises:
        StudyError: There are fewer pairs, methods or artworks than the plan asks for.
    """
    plan.check(len(methods), len(pairs), len(artworks))
    source = random.Random(plan.seed)
    methods, pairs, artworks = (_shuffled(source, sorted(names)) for names in (methods, pairs, artworks))
    windows = _assign_windows(plan, len(methods), len(pairs))
    orders = _orders(source, methods)
    return [
        _deception(source, plan, methods, pairs, artworks, participant)
        + _preference(source, orders, [pairs[place] for place in _window(windows[participant], plan.pairs, len(pairs))])
        for participant in range(plan.participants)
    ]


def _deception(
    source: random.Random, plan: Plan, methods: Sequence[str], pairs: Sequence[str], artworks: Sequence[str], participant: int
) -> list[Question]:
    pictures = [
        Source("stylized", method, pairs[place])
        for turn, method in enumerate(methods)
        for place in _window(participant + turn, plan.per_method, len(pairs))
    ]
    if plan.real:
        pictures += [Source("artwork", artworks[place]) for place in _window(participant, plan.real, len(artworks))]
    return [Question("deception", (picture,)) for picture in _shuffled(source, pictures)]


def _preference(source: random.Random, orders: Iterator[Sequence[str]], pairs: Sequence[str]) -> list[Question]:
    return [
        Question("preference", tuple(Source("stylized", method, pair) for method in next(orders)))
        for pair in _shuffled(source, pairs)
    ]


def _window(number: int, width: int, length: int) -> list[int]:
    """The places of the `number`-th of windows that follow each other round a circle of `length` places."""
    return [(number * width + step) % length for step in range(width)]


def _assign_windows(plan: Plan, methods: int, pairs: int) -> list[int]:
    """For each participant the number of a window of preference pairs, none given twice.

    Least overlap with the pairs of their deception questions comes first; then numbers near the participant's, so that the
    study is balanced at any time, not only at its end.
    """
    everyone = range(plan.participants)
    seen, asked = (np.zeros((plan.participants, pairs)) for _ in range(2))
    for participant in everyone:
        asked[participant, _window(participant, plan.pairs, pairs)] = 1
        for turn in range(methods):
            seen[participant, _window(participant + turn, plan.per_method, pairs)] = 1
    moved = np.abs(np.subtract.outer(everyone, everyone))
    _, windows = linear_sum_assignment(seen @ asked.T * plan.participants**2 + moved)
    return windows.tolist()


def _orders(source: random.Random, methods: Sequence[str]) -> Iterator[Sequence[str]]:
    """Orders of the methods, endlessly: each run of as many as there are methods has each of them once in each place."""
    count = len(methods)
    while True:
        names = _shuffled(source, methods)
        places = _shuffled(source, range(count))
        for row in _shuffled(source, range(count)):
            yield [names[(row + place) % count] for place in places]


def _shuffled(source: random.Random, items: Sequence[T]) -> list[T]:
    return source.sample(items, len(items))
