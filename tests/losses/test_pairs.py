import pytest

from ieast.losses.pairs import PairBatch
from reference import plain as reference

SIZES = (6, 8, 12)


@pytest.mark.parametrize("b", SIZES)
def test_arrangement_is_the_papers(b):
    pairs = PairBatch.of(b // 2)
    counted_from_one = [(s + 1, c + 1) for s, c in zip(pairs.style.tolist(), pairs.content.tolist(), strict=True)]
    assert counted_from_one == reference.arrangement(b)


def test_arrangement_of_the_papers_example():
    # Figure 2 (c), b = 8: s1c1, s2c2, s3c3, s4c4, s1c2, s2c3, s3c4, s4c1
    pairs = PairBatch.of(4)
    assert pairs.style.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert pairs.content.tolist() == [0, 1, 2, 3, 1, 2, 3, 0]


@pytest.mark.parametrize("b", SIZES)
def test_each_anchor_has_one_positive_per_factor_and_b_minus_three_negatives(b):
    # Of b pictures two have the anchor's style and two its content, and the anchor is in both pairs.
    pairs = PairBatch.of(b // 2)
    assert pairs.same_style.sum(dim=1).tolist() == [1] * b
    assert pairs.same_content.sum(dim=1).tolist() == [1] * b
    assert pairs.negatives.sum(dim=1).tolist() == [b - 3] * b


@pytest.mark.parametrize("b", SIZES)
def test_sets_are_those_of_section_3_2(b):
    pairs, pictures = PairBatch.of(b // 2), reference.arrangement(b)
    for a, (i, j) in enumerate(pictures):
        for p, (m, n) in enumerate(pictures):
            assert pairs.same_style[a, p].item() == (m == i and n != j)
            assert pairs.same_content[a, p].item() == (n == j and m != i)
            assert pairs.negatives[a, p].item() == (m != i and n != j)


@pytest.mark.parametrize("b", SIZES)
def test_partner_in_the_other_factor_is_neither_positive_nor_negative(b):
    pairs = PairBatch.of(b // 2)
    assert not (pairs.same_content & (pairs.same_style | pairs.negatives)).any()
    assert not (pairs.same_style & (pairs.same_content | pairs.negatives)).any()


@pytest.mark.parametrize("b", SIZES)
def test_relations_are_mutual_and_never_with_oneself(b):
    pairs = PairBatch.of(b // 2)
    for mask in (pairs.same_style, pairs.same_content, pairs.negatives):
        assert (mask == mask.T).all()
        assert not mask.diagonal().any()


@pytest.mark.parametrize("distinct", [-1, 0, 1, 2])
def test_fewer_than_three_pairs_are_refused(distinct):
    with pytest.raises(ValueError, match=f"needs at least 3 distinct contents and styles, got {distinct}"):
        PairBatch.of(distinct)
