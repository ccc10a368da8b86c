import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import colormaps

from ieast.evaluation.heatmaps import GAP, Differences, MeanDifference, clip_heat_map, common_limit, heat_map, plot_flicker


def test_the_difference_is_the_mean_over_steps_and_channels_of_absolute_differences():
    frames = np.random.default_rng(0).random((4, 3, 5, 6)).astype(np.float32)
    difference = MeanDifference()
    for frame in frames:
        difference.add(torch.from_numpy(frame))
    expected = np.zeros((5, 6))
    for k in range(3):
        for channel in range(3):
            expected += np.abs(frames[k + 1, channel] - frames[k, channel]) / 9
    assert difference.value() == pytest.approx(expected, rel=1e-5)


def test_one_frame_has_no_difference():
    difference = MeanDifference()
    difference.add(torch.zeros(3, 4, 4))
    with pytest.raises(ValueError, match=r"^a difference needs two frames$"):
        difference.value()


def test_a_heat_map_is_black_at_zero_and_brightest_at_the_limit():
    values = np.array([[0.0, 0.1, 0.2, 0.4]], dtype=np.float32)
    samples = np.asarray(heat_map(values, 0.2))
    assert samples.shape == (1, 4, 3)
    darkest, brightest = (np.array(colormaps["inferno"](x, bytes=True)[:3]) for x in (0.0, 1.0))
    assert (samples[0, 0] == darkest).all()
    assert (samples[0, 2] == brightest).all()
    assert (samples[0, 3] == brightest).all()
    assert samples[0, 0].sum() < samples[0, 1].sum() < samples[0, 2].sum()


def test_a_clip_and_its_stylization_stand_side_by_side_on_one_scale():
    random = np.random.default_rng(0)
    inputs, stylized = (random.random((7, 9)).astype(np.float32) * scale for scale in (0.1, 0.5))
    samples = np.asarray(clip_heat_map(Differences(inputs=inputs, stylized=stylized), 0.4))
    assert samples.shape == (7, 9 + GAP + 9, 3)
    assert (samples[:, :9] == np.asarray(heat_map(inputs, 0.4))).all()
    assert (samples[:, 9 : 9 + GAP] == 255).all()
    assert (samples[:, 9 + GAP :] == np.asarray(heat_map(stylized, 0.4))).all()


def test_the_common_limit_is_what_all_but_a_hundredth_stay_below():
    random = np.random.default_rng(0)
    parts = [random.random((10, 10)).astype(np.float32) for _ in range(4)]
    limit = common_limit([Differences(*parts[:2]), Differences(*parts[2:])])
    assert np.mean(np.stack(parts) <= limit) == pytest.approx(0.99, abs=0.005)


@pytest.mark.parametrize("parts", [[], [Differences(*np.zeros((2, 3, 3), dtype=np.float32))]])
def test_where_nothing_differs_there_is_a_limit_still(parts):
    assert common_limit(parts) == 1


@pytest.mark.parametrize("clips", [1, 2, 4])
def test_flicker_is_plotted_for_each_clip(tmp_path, clips):
    rows = [
        {"clip": f"clip{c}", "frame": k, "temporal_x": 0.1 * k + c, "temporal_x_inputs": 0.05 * k}
        for c in range(clips)
        for k in range(1, 4)
    ]
    figure = plot_flicker({"stylized": pd.DataFrame(rows)})
    shown = [axis for axis in figure.axes if axis.lines]
    assert [axis.get_title() for axis in shown] == [f"clip{c}" for c in range(clips)]
    for c, axis in enumerate(shown):
        stylized, inputs = axis.lines
        assert stylized.get_xdata().tolist() == inputs.get_xdata().tolist() == [1, 2, 3]
        assert stylized.get_ydata().tolist() == pytest.approx([0.1 + c, 0.2 + c, 0.3 + c])
        assert inputs.get_ydata().tolist() == pytest.approx([0.05, 0.1, 0.15])
    figure.savefig(tmp_path / "flicker.png")


def test_plotting_leaves_no_figure_open_in_pyplot():
    import matplotlib.pyplot as plt

    plot_flicker({"a": pd.DataFrame({"clip": ["a"], "frame": [1], "temporal_x": [0.1], "temporal_x_inputs": [0.1]})})
    assert plt.get_fignums() == []


def test_models_share_a_plot_and_as_many_clips_are_shown_as_asked():
    def table(value):
        rows = {"clip": ["k"] * 2 + ["l"] * 2, "frame": [1, 2] * 2, "temporal_x": [value] * 4, "temporal_x_inputs": [0.1] * 4}
        return pd.DataFrame(rows)

    (axis,) = plot_flicker({"a": table(0.2), "b": table(0.4)}, at_most=1).axes
    assert {line.get_label(): line.get_ydata().tolist() for line in axis.lines} == {
        "a": [0.2, 0.2],
        "b": [0.4, 0.4],
        "inputs": [0.1, 0.1],
    }
