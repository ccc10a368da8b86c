import pandas as pd
import pytest

from benchmarks import growth
from ieast.evaluation.figures import as_picture


def test_growth_is_the_power_of_the_two_largest_sizes_or_what_one_more_takes():
    points = pd.DataFrame({"size": [4, 1, 2], "seconds": [48.0, 11.0, 6.0]})
    assert growth.growth(points, "seconds", logarithmic=True) == pytest.approx(3)
    points = pd.DataFrame({"size": [1, 2, 4], "seconds": [0.5, 0.7, 1.1]})
    assert growth.growth(points, "seconds", logarithmic=False) == pytest.approx(0.2)


def test_the_figure_shows_every_point_twice():
    rows = [
        {"what": what, "line": line, "size": size, "seconds": 0.1 * size, "peak": 1e6 * size, "threads": 2}
        for what, panel in growth.PANELS.items()
        for line, sizes in panel.lines.items()
        for size in sizes
    ]
    figure = growth.plot(pd.DataFrame(rows))
    assert sum(len(line.get_xdata()) for axis in figure.axes for line in axis.lines) == 2 * len(rows)
    assert as_picture(figure).width == 4 * 100 * len(growth.PANELS)


def test_a_point_knows_its_time_and_its_memory():
    point = growth.measure_here("clip", "package", 2)
    assert 1 <= point.runs <= growth.RUNS
    assert point.seconds > 0
    assert point.peak > 100e6  # Python and PyTorch alone
