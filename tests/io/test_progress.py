import pytest

from ieast.io.progress import progress_bar, refresh_seconds


@pytest.mark.parametrize(("watched", "seconds"), [(True, 0.2), (False, 20.0)])
def test_a_bar_refreshes_often_only_where_someone_watches(monkeypatch, watched, seconds):
    monkeypatch.setattr("sys.stderr.isatty", lambda: watched, raising=False)
    assert refresh_seconds() == seconds
    with progress_bar(total=3, desc="work", unit="picture") as bar:
        assert (bar.total, bar.desc, bar.unit, bar.mininterval) == (3, "work", "picture", seconds)


def test_it_goes_over_items():
    assert list(progress_bar([1, 2, 3], desc="work")) == [1, 2, 3]
