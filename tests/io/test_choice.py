import pytest

from ieast.io.files import evenly


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(None, "abcdefg"), (0, ""), (1, "a"), (2, "ag"), (3, "adg"), (4, "aceg"), (7, "abcdefg"), (9, "abcdefg")],
)
def test_the_choice_is_spread_from_the_first_to_the_last(count, chosen):
    assert evenly("abcdefg", count) == list(chosen)


def test_of_nothing_nothing_is_chosen():
    assert evenly([], 3) == []
