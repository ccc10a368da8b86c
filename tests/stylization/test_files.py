import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.datasets import draw_picture
from helpers.videos import draw_frame, stamps_of, write_video
from PIL import Image, ImageOps

from ieast.config import StylizeOptions
from ieast.errors import ConfigError, ImageError, MemoryLimitError, VideoError
from ieast.io.images import read_image, to_image, to_tensor, write_image
from ieast.io.video import probe, read_video_frames, stylize_clip
from ieast.stylization.files import SETTINGS, FolderResult, is_video, stylize_folder, stylize_picture, stylize_video
from ieast.stylization.inputs import check_mask, read_style
from ieast.stylization.session import StyleSession, TorchEngine
from ieast.stylizer.style import Style

WIDTH, HEIGHT = 49, 38


def pixels(path):
    return np.asarray(read_image(path))


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def half_mask(path, size, right=False):
    mask = Image.new("L", size, 0)
    mask.paste(255, (0, 0, size[0] // 2, size[1]))
    (ImageOps.invert(mask) if right else mask).save(path)
    return path


@pytest.fixture
def engine(stylizer):
    return TorchEngine(stylizer)


@pytest.fixture
def content(tmp_path):
    draw_picture(0, WIDTH, HEIGHT).save(tmp_path / "content.png")
    return tmp_path / "content.png"


@pytest.fixture
def styles(tmp_path):
    for number in range(2):
        draw_picture(100 + number, 40 + 8 * number, 36).save(tmp_path / f"style{number}.png")
    return [tmp_path / "style0.png", tmp_path / "style1.png"]


@pytest.fixture
def masks(tmp_path):
    return [half_mask(tmp_path / f"{side}.png", (WIDTH, HEIGHT), side == "right") for side in ("left", "right")]


@pytest.fixture
def folders(tmp_path):
    """Two contents, one of them in a folder of its own, and two styles."""
    (tmp_path / "contents" / "sub").mkdir(parents=True)
    (tmp_path / "styles").mkdir()
    for place, seed in (("contents/a.png", 0), ("contents/sub/b.jpg", 1), ("styles/x.png", 100), ("styles/y.png", 101)):
        draw_picture(seed, 40 + seed % 7, 36).save(tmp_path / place)
    return tmp_path / "contents", tmp_path / "styles", tmp_path / "out"


@pytest.mark.parametrize(
    ("options", "styles", "masks", "message"),
    [
        (StylizeOptions(alpha=1.5), 1, 0, "alpha is 1.5; it must lie between 0 and 1"),
        (StylizeOptions(alpha=float("nan")), 1, 0, "alpha is nan; it must lie between 0 and 1"),
        (StylizeOptions(style_size=15), 1, 0, "style_size is 15; it must be at least 16 pixels"),
        (StylizeOptions(preserve_colour="hue"), 1, 0, "preserve_colour is 'hue'; it must be one of none, luminance, coral"),
        (StylizeOptions(weights=(1, 2)), 3, 0, "2 weights for 3 styles; give one for each, in the same order, or none"),
        (StylizeOptions(), 2, 1, "1 masks for 2 styles; give one for each, in the same order, or none"),
        (StylizeOptions(weights=(0, 0)), 2, 0, "the weights of all 2 styles are 0; give at least one style a weight above 0"),
        (StylizeOptions(weights=(1, -1)), 2, 0, "style 1 has weight -1; weights must be finite and at least 0"),
        (
            StylizeOptions(weights=(1e308, 1e308)),
            2,
            0,
            "the weights of all 2 styles are too large to add up; only proportions matter",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(options, styles, masks, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        options.check(styles, masks)


def test_options_that_fit_are_not():
    for options, styles, masks in (
        (StylizeOptions(), 1, 0),
        (StylizeOptions(0, (3, 0), 16, "coral"), 2, 2),
        (StylizeOptions(), 8, 8),
    ):
        options.check(styles, masks)


@pytest.mark.parametrize("preserve_colour", ["none", "luminance", "coral"])
@pytest.mark.parametrize("encode", [False, True])
def test_a_session_gives_what_the_stylizer_makes(stylizer, preserve_colour, encode):
    picture, *styles = (draw_picture(seed, 40 + seed, 36) for seed in range(3))
    mask = Image.new("RGB", picture.size, (51, 51, 51))
    options = StylizeOptions(0.7, (1, 3), preserve_colour=preserve_colour, content_noise=0)
    stylized = StyleSession(stylizer, styles, options, [mask, mask], encode=encode).stylize(picture)
    grey = to_tensor(mask)[:, :1]
    chosen = [Style(to_tensor(style), weight, grey) for style, weight in zip(styles, options.weights, strict=True)]
    expected = to_image(stylizer.stylize(to_tensor(picture), chosen, 0.7, preserve_colour=preserve_colour))
    assert stylized.tobytes() == expected.tobytes()


def test_a_session_takes_contents_of_any_size(stylizer):
    session = StyleSession(stylizer, [draw_picture(0, 40, 36)], StylizeOptions(), encode=True)
    for size in ((1, 1), (33, 17), (17, 90)):
        assert session.stylize(draw_picture(1, *size)).size == size


def test_check_mask():
    check_mask("m.png", Image.new("L", (4, 3)), "c.png", (4, 3))
    message = "m.png: is 3x4 pixels, but c.png is 4x3; a mask must have exactly the content's size"
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        check_mask("m.png", Image.new("L", (3, 4)), "c.png", (4, 3))


@pytest.mark.parametrize(
    ("size", "target", "actual"), [((96, 64), 32, (48, 32)), ((96, 64), 64, (96, 64)), ((30, 20), 64, (30, 20))]
)
def test_styles_are_only_scaled_down(tmp_path, size, target, actual):
    draw_picture(0, *size).save(tmp_path / "style.png")
    assert read_style(tmp_path / "style.png", target).size == actual


def test_a_style_too_elongated_to_be_scaled_is_named(tmp_path):
    Image.new("L", (70_000, 17)).save(tmp_path / "thread.png")
    with pytest.raises(ImageError, match=r"^.*thread\.png: is too elongated: 70000x17 pixels would become 65882x16"):
        read_style(tmp_path / "thread.png", 16)


def test_a_picture_is_stylized_as_the_library_does(stylizer, engine, content, styles, masks, tmp_path):
    output = tmp_path / "new" / "out.png"
    assert stylize_picture(engine, content, styles, output, StylizeOptions(0.5, (1, 2)), masks) == (WIDTH, HEIGHT)
    pictures = [read_image(path) for path in (*styles, *masks)]
    expected = StyleSession(stylizer, pictures[:2], StylizeOptions(0.5, (1, 2)), pictures[2:]).stylize(read_image(content))
    assert pixels(output).tobytes() == expected.tobytes()


def test_masks_decide_where_a_style_is_seen(engine, tmp_path):
    size = (160, 32)  # so wide that the outer thirds are far from the mask's edge
    draw_picture(0, *size).save(tmp_path / "content.png")
    styles = [tmp_path / "red.png", tmp_path / "noise.png"]
    Image.new("RGB", (40, 40), "red").save(styles[0])
    draw_picture(101, 40, 40).save(styles[1])
    masks = [half_mask(tmp_path / f"{side}.png", size, side == "right") for side in ("left", "right")]
    looks = {"both": (styles, masks), "red": (styles[:1], []), "noise": (styles[1:], [])}
    for name, (chosen, where) in looks.items():
        stylize_picture(engine, tmp_path / "content.png", chosen, tmp_path / f"{name}.bmp", StylizeOptions(), where)
    both, red, noise = (pixels(tmp_path / f"{name}.bmp").astype(int) for name in looks)
    assert np.abs(both - red)[:, :40].max() <= 1
    assert np.abs(both - noise)[:, -40:].max() <= 1
    assert np.abs(red - noise).mean() > 2


def test_white_on_transparent_is_a_mask(engine, content, styles, masks, tmp_path):
    for name in ("left", "right"):
        drawn = Image.open(tmp_path / f"{name}.png").convert("L")
        layer = Image.new("RGBA", drawn.size, "white")
        layer.putalpha(drawn)
        layer.save(tmp_path / f"{name}-clear.png")
    clear = [tmp_path / "left-clear.png", tmp_path / "right-clear.png"]
    for name, chosen in (("one", masks), ("other", clear)):
        stylize_picture(engine, content, styles, tmp_path / f"{name}.png", StylizeOptions(), chosen)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()


@pytest.mark.parametrize("name", ["content.png", "style1.png", "left.png"])
def test_no_input_is_overwritten(engine, content, styles, masks, tmp_path, name):
    before = files(tmp_path)
    message = f"{tmp_path / name}: is one of the inputs and would be overwritten. Give the result another name"
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        stylize_picture(engine, content, styles, tmp_path / name, StylizeOptions(), masks)
    assert files(tmp_path) == before


def test_a_mask_of_another_size_is_named_and_nothing_written(engine, content, styles, masks, tmp_path):
    half_mask(masks[1], (WIDTH, HEIGHT + 1))
    before = files(tmp_path)
    message = f"{masks[1]}: is 49x39 pixels, but {content} is 49x38; a mask must have exactly the content's size"
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        stylize_picture(engine, content, styles, tmp_path / "out.png", StylizeOptions(), masks)
    assert files(tmp_path) == before


def test_every_content_in_every_style(engine, folders):
    contents, styles, output = folders
    assert stylize_folder(engine, contents, styles, output, StylizeOptions(0.5)) == FolderResult(made=4, kept=0, failed={})
    assert set(files(output)) == {"x/a.png", "x/sub/b.png", "y/a.png", "y/sub/b.png", SETTINGS}
    stylize_picture(engine, contents / "sub" / "b.jpg", [styles / "y.png"], output / "single.png", StylizeOptions(0.5))
    assert (output / "y" / "sub" / "b.png").read_bytes() == (output / "single.png").read_bytes()


def test_either_side_may_be_one_picture_and_files_of_another_kind(engine, folders):
    contents, styles, output = folders
    assert stylize_folder(engine, contents, styles / "x.png", output, StylizeOptions(), ".jpg").made == 2
    assert stylize_folder(engine, contents / "a.png", styles, output, StylizeOptions(), ".jpg") == FolderResult(1, 1, {})
    assert set(files(output)) == {"x/a.jpg", "x/sub/b.jpg", "y/a.jpg", SETTINGS}


def test_an_interrupted_folder_goes_on_where_it_was(engine, folders, monkeypatch):
    contents, styles, output = folders
    stylize, calls = StyleSession.stylize, []

    def stops(self, picture):
        calls.append(picture)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return stylize(self, picture)

    monkeypatch.setattr(StyleSession, "stylize", stops)
    with pytest.raises(KeyboardInterrupt):
        stylize_folder(engine, contents, styles, output, StylizeOptions())
    before = files(output)
    assert set(before) == {"x/a.png", "x/sub/b.png", SETTINGS}
    draw_picture(2, 30, 30).save(contents / "new.png")
    assert stylize_folder(engine, contents, styles, output, StylizeOptions()) == FolderResult(made=4, kept=2, failed={})
    assert len(calls) == 3 + 4
    assert files(output).items() >= {name: data for name, data in before.items() if name != SETTINGS}.items()
    assert stylize_folder(engine, contents, styles, output, StylizeOptions()) == FolderResult(made=0, kept=6, failed={})


@pytest.mark.parametrize(
    ("options", "suffix", "changed"),
    [
        (StylizeOptions(0.5), ".png", "alpha"),
        (StylizeOptions(style_size=64), ".png", "style_size"),
        (StylizeOptions(0, preserve_colour="coral"), ".png", "alpha, preserve_colour"),
        (StylizeOptions(), ".jpg", "suffix"),
    ],
)
def test_results_of_other_settings_are_not_mixed(engine, folders, options, suffix, changed):
    contents, styles, output = folders
    stylize_folder(engine, contents, styles / "x.png", output, StylizeOptions())
    before = files(output)
    message = (
        f"{output}: holds results of another stylization: {changed} changed since. Give another folder, or remove that one"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        stylize_folder(engine, contents, styles / "x.png", output, options, suffix)
    assert files(output) == before


@pytest.mark.parametrize(
    ("place", "changed", "before", "after"),
    [
        ("contents/a.png", "content a", ("contents", "styles/x.png"), ("contents", "styles/y.png")),
        ("styles/x.png", "style x", ("contents/sub/b.jpg", "styles"), ("contents/a.png", "styles")),
    ],
)
def test_results_of_a_picture_that_changed_are_not_kept(engine, folders, tmp_path, place, changed, before, after):
    *_, output = folders
    stylize_folder(engine, *(tmp_path / side for side in before), output, StylizeOptions())
    draw_picture(7, 30, 30).save(tmp_path / place)
    # not even where this call asks for none of them: a later one would take them for good
    for sides in (before, after):
        with pytest.raises(
            ConfigError, match=f"^{re.escape(str(output))}: holds results of another .*: {changed} changed since"
        ):
            stylize_folder(engine, *(tmp_path / side for side in sides), output, StylizeOptions())


@pytest.mark.parametrize("place", ["contents/sub/b.jpg", "styles/x.png"])
def test_one_bad_file_does_not_lose_the_rest_and_can_be_mended(engine, folders, tmp_path, place):
    contents, styles, output = folders
    good = (tmp_path / place).read_bytes()
    (tmp_path / place).write_bytes(good[: len(good) // 2])
    result = stylize_folder(engine, contents, styles, output, StylizeOptions())
    assert (result.made, result.kept, list(result.failed)) == (2, 0, [tmp_path / place])
    assert result.failed[tmp_path / place].startswith(f"{tmp_path / place}: is damaged or truncated (")
    (tmp_path / place).write_bytes(good)
    assert stylize_folder(engine, contents, styles, output, StylizeOptions()) == FolderResult(made=2, kept=2, failed={})


@pytest.mark.parametrize("place", ["contents/sub/b.jpg", "styles/x.png"])
def test_a_link_that_leads_nowhere_does_not_lose_the_rest_and_can_be_mended(engine, folders, tmp_path, place):
    contents, styles, output = folders
    good = (tmp_path / place).read_bytes()
    (tmp_path / place).unlink()
    (tmp_path / place).symlink_to("nowhere")
    result = stylize_folder(engine, contents, styles, output, StylizeOptions())
    why = f"{tmp_path / place}: is a link to nowhere, which is not there. Mend or remove it"
    assert result == FolderResult(made=2, kept=0, failed={tmp_path / place: why})
    (tmp_path / place).unlink()
    (tmp_path / place).write_bytes(good)
    assert stylize_folder(engine, contents, styles, output, StylizeOptions()) == FolderResult(made=2, kept=2, failed={})


def test_what_is_no_picture_is_named_and_what_is_one_is_taken_whatever_its_name(engine, folders):
    contents, styles, output = folders
    (contents / "sub" / "b.jpg").rename(contents / "sub" / "b")
    (contents / "a.png").rename(contents / "a.jfif")
    for place in (contents / "notes.txt", styles / "price.pdf"):
        place.write_text("?")
    result = stylize_folder(engine, contents, styles, output, StylizeOptions())
    assert result == FolderResult(4, 0, {}, passed_over=(contents / "notes.txt", styles / "price.pdf"))
    assert set(files(output)) == {"x/a.png", "x/sub/b.png", "y/a.png", "y/sub/b.png", SETTINGS}


def test_each_output_is_judged_by_itself(engine, folders):
    contents, styles, output = folders
    (output / "y" / "a.png").mkdir(parents=True)
    (output / "x").write_text("in the way")
    result = stylize_folder(engine, contents, styles, output, StylizeOptions())
    assert (result.made, list(result.failed)) == (1, [styles / "x.png", output / "y" / "a.png"])
    assert result.failed[styles / "x.png"] == (
        f"{styles / 'x.png'}: {output / 'x'}: cannot be written (File exists). Choose another place, or make room there"
    )
    assert result.failed[output / "y" / "a.png"].startswith(f"{output / 'y' / 'a.png'}: cannot be written (Is a directory).")
    assert (output / "x").read_text() == "in the way"


def test_a_result_whose_name_is_too_long_does_not_lose_the_rest(engine, folders):
    contents, styles, output = folders
    long = "n" * 255  # a picture by its content, to which .png does not fit
    (contents / "a.png").rename(contents / long)
    result = stylize_folder(engine, contents, styles / "x.png", output, StylizeOptions())
    assert (result.made, list(result.failed)) == (1, [output / "x" / f"{long}.png"])
    assert "because the disk does not take names that long" in result.failed[output / "x" / f"{long}.png"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"options": {}}', b"\xff\xfe", None])
def test_settings_that_cannot_be_read_are_named(engine, folders, content):
    contents, styles, output = folders
    output.mkdir()
    (output / SETTINGS).mkdir() if content is None else (output / SETTINGS).write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^{output / SETTINGS}: cannot be read \(.*\), so that nothing is known of"):
        stylize_folder(engine, contents, styles, output, StylizeOptions())


def test_results_of_unknown_settings_are_not_kept(engine, folders):
    contents, styles, output = folders
    stylize_folder(engine, contents, styles / "x.png", output, StylizeOptions(0.5))
    (output / SETTINGS).unlink()
    before = files(output)
    message = (
        f"{output / SETTINGS}: is not there, so that nothing is known of the results beside it. Give another folder, or remove "
        "that one"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        stylize_folder(engine, contents, styles, output, StylizeOptions())
    assert files(output) == before
    # None of them would be taken for a result of this call, but all would in the next.
    assert stylize_folder(engine, contents, styles / "y.png", output, StylizeOptions()) == FolderResult(2, 0, {})
    with pytest.raises(ConfigError, match=r"does not tell how x/a\.png was made, so that nothing is known of the results"):
        stylize_folder(engine, contents, styles, output, StylizeOptions())


def test_a_picture_too_large_for_memory_does_not_lose_the_rest(stylizer, engine, folders, monkeypatch):
    contents, styles, output = folders
    draw_picture(0, 640, 640).save(contents / "huge.png")
    monkeypatch.setattr("ieast.stylizer.memory.available_bytes", lambda device: 200_000_000)
    result = stylize_folder(engine, contents, styles / "x.png", output, StylizeOptions())
    assert (result.made, list(result.failed)) == (2, [contents / "huge.png"])
    assert result.failed[contents / "huge.png"].startswith(
        f"{contents / 'huge.png'}: stylizing 1 x 640x640 pixels needs up to "
    )


def test_names_that_differ_only_in_their_suffix_keep_it(engine, folders):
    contents, styles, output = folders
    for seed, name in enumerate(("a.jpg", "a.png.bmp"), 3):
        write_image(draw_picture(seed, 30, 30 + seed), contents / name)
    assert stylize_folder(engine, contents, styles / "x.png", output, StylizeOptions()).made == 4
    assert set(files(output)) == {"x/a.png.png", "x/a.jpg.png", "x/a.png.bmp.png", "x/sub/b.png", SETTINGS}
    sizes = {name: read_image(output / "x" / f"{name}.png").size for name in ("a.jpg", "a.png.bmp")}
    assert sizes == {"a.jpg": (30, 33), "a.png.bmp": (30, 34)}


def test_two_results_of_the_same_name_are_refused(engine, folders):
    contents, styles, output = folders
    for place in (contents / "b.png", contents / "y" / "b.png", styles / "x" / "y.png"):
        place.parent.mkdir(exist_ok=True)
        draw_picture(0, 20, 20).save(place)
    with pytest.raises(ImageError, match=r"would be written under the same name as .*, x/y/b\. Rename a folder$"):
        stylize_folder(engine, contents, styles, output, StylizeOptions())
    assert not output.exists()


@pytest.mark.parametrize("place", ["contents", "contents/results", "styles/results"])
def test_results_do_not_go_where_they_would_be_taken_for_inputs(engine, folders, tmp_path, place):
    contents, styles, _ = folders
    before = files(tmp_path)
    with pytest.raises(ImageError, match=rf"^{tmp_path / place}: lies in {tmp_path / place.split('/')[0]}, where results"):
        stylize_folder(engine, contents, styles, tmp_path / place, StylizeOptions())
    assert files(tmp_path) == before


def test_what_a_folder_cannot_do_is_refused_before_anything_is_written(engine, folders, tmp_path):
    contents, styles, output = folders
    (tmp_path / "empty").mkdir()
    for arguments, error, message in [
        ((contents, styles, output, StylizeOptions(weights=(1,))), ConfigError, "weights blend the styles of one picture"),
        ((contents, styles, output, StylizeOptions(alpha=2)), ConfigError, "alpha is 2;"),
        ((contents, styles, output, StylizeOptions(), ".xyz"), ImageError, r".*x\.xyz: the name must end in the suffix"),
        ((tmp_path / "empty", styles, output, StylizeOptions()), ImageError, ".*empty: holds no pictures"),
    ]:
        with pytest.raises(error, match=f"^{message}"):
            stylize_folder(engine, *arguments)
        assert not output.exists()


@pytest.fixture
def frames(tmp_path):
    (tmp_path / "frames").mkdir()
    for index in range(4):
        Image.fromarray(draw_frame(index, WIDTH, HEIGHT)).save(tmp_path / "frames" / f"f{index}.png")
    return tmp_path / "frames"


def test_frames_are_stylized_as_pictures_with_masks_and_weights(engine, frames, styles, masks, tmp_path):
    options = StylizeOptions(weights=(1, 2), preserve_colour="luminance")
    result = stylize_video(engine, frames, styles, tmp_path / "out", options, masks)
    assert (result.frames, result.stylized) == (4, 4)
    for index in range(4):
        stylize_picture(engine, frames / f"f{index}.png", styles, tmp_path / "single.png", options, masks)
        assert pixels(tmp_path / "out" / f"f{index}.png").tobytes() == pixels(tmp_path / "single.png").tobytes()


def test_a_video_keeps_its_frames_and_sound(stylizer, engine, styles, tmp_path):
    size = (48, 32)
    source = write_video(tmp_path / "clip.mp4", 5, size)
    masks = [half_mask(tmp_path / f"{side}.png", size, side == "right") for side in ("left", "right")]
    result = stylize_video(engine, source, styles, tmp_path / "out.mp4", StylizeOptions(), masks)
    assert (result.frames, result.stylized, result.audio_copied) == (5, 5, 1)
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.frames, info.has_audio) == (48, 32, 5, True)
    session = StyleSession(
        stylizer, [read_image(path) for path in styles], StylizeOptions(), [read_image(path) for path in masks]
    )
    first = np.asarray(session.stylize(next(iter(read_video_frames(source))))).astype(int)
    # what H.264 costs pictures as small as these
    assert np.abs(np.asarray(next(iter(read_video_frames(tmp_path / "out.mp4")))) - first).mean() < 4


def interrupt(stylizer, monkeypatch, after):
    """Make `stylizer` stop before its frame number `after`."""
    stylize, calls = type(stylizer).stylize, []

    def stops(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == after + 1:
            raise KeyboardInterrupt
        return stylize(self, *arguments, **options)

    monkeypatch.setattr(type(stylizer), "stylize", stops)


@pytest.mark.parametrize(("change", "stylized"), [(None, 2), ("alpha", 4), ("mask", 4), ("style", 4)])
def test_an_interrupted_clip_goes_on_unless_something_changed(
    stylizer, engine, frames, styles, masks, tmp_path, monkeypatch, change, stylized
):
    interrupt(stylizer, monkeypatch, after=2)
    with pytest.raises(KeyboardInterrupt):
        stylize_video(engine, frames, styles, tmp_path / "out", StylizeOptions(), masks)
    assert len(list((tmp_path / ".out.partial" / "frames").iterdir())) == 2
    if change == "mask":
        Image.new("L", (WIDTH, HEIGHT), 128).save(masks[0])
    if change == "style":
        draw_picture(9, 40, 36).save(styles[1])
    result = stylize_video(engine, frames, styles, tmp_path / "out", StylizeOptions(0.5 if change == "alpha" else 1), masks)
    assert (result.frames, result.stylized) == (4, stylized)
    assert not (tmp_path / ".out.partial").exists()


def test_a_steady_clip_goes_on_to_the_same_bits(stylizer, engine, styles, tmp_path, monkeypatch):
    monkeypatch.setattr("ieast.stylization.files.stylize_clip", partial(stylize_clip, segment_frames=3))
    (tmp_path / "shot").mkdir()
    for index in range(8):
        Image.fromarray(draw_frame(index, WIDTH, HEIGHT)).save(tmp_path / "shot" / f"{index}.png")
    options = StylizeOptions(steady=True)
    stylize_video(engine, tmp_path / "shot", styles, tmp_path / "whole", options)
    stylize_video(engine, tmp_path / "shot", styles, tmp_path / "plain", StylizeOptions())
    with monkeypatch.context() as patch:
        interrupt(stylizer, patch, after=7)
        with pytest.raises(KeyboardInterrupt):
            stylize_video(engine, tmp_path / "shot", styles, tmp_path / "out", options)
    assert stylize_video(engine, tmp_path / "shot", styles, tmp_path / "out", options).stylized == 2
    same = [[pixels(tmp_path / place / f"{k}.png").tobytes() for k in range(8)] for place in ("out", "whole", "plain")]
    assert same[0] == same[1]
    assert same[0][0] == same[2][0]
    assert all(a != b for a, b in zip(same[0][1:], same[2][1:], strict=True))


def test_a_steady_clip_of_variable_frame_rate_has_its_own_times_and_the_pictures_of_an_even_one(engine, styles, tmp_path):
    # A steady frame depends on what is seen before it, not on how long: hurried frames, and a pause of seconds.
    stamps, options = (0, 40, 80, 200, 210, 215, 5000), StylizeOptions(steady=True)
    for name, times in (("even", None), ("uneven", stamps)):
        clip = write_video(tmp_path / f"{name}.mkv", len(stamps), (64, 48), codec="ffv1", audio=None, stamps=times)
        stylize_video(engine, clip, styles, tmp_path / name, options)
    assert files(tmp_path / "even") == files(tmp_path / "uneven")
    result = stylize_video(engine, tmp_path / "uneven.mkv", styles, tmp_path / "out.mp4", options)
    assert (result.frames, result.warnings) == (len(stamps), ())
    assert [round(1000 * time) for time in stamps_of(tmp_path / "out.mp4")] == list(stamps)
    shown, expected = read_video_frames(tmp_path / "out.mp4"), sorted((tmp_path / "even").glob("*.png"))
    assert len(expected) == len(stamps)
    for frame, path in zip(shown, expected, strict=True):
        assert np.abs(pixels(path).astype(int) - frame).mean() < 4  # what the video codec loses


@pytest.mark.parametrize("output", ["out", "out.mp4"])
def test_a_clip_that_cannot_begin_leaves_nothing(stylizer, engine, frames, styles, masks, tmp_path, monkeypatch, output):
    half_mask(masks[0], (HEIGHT, WIDTH))
    before = files(tmp_path)
    message = f"{masks[0]}: is 38x49 pixels, but {frames} is 49x38; a mask must have exactly the content's size"
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        stylize_video(engine, frames, styles, tmp_path / output, StylizeOptions(), masks)
    with pytest.raises(ImageError, match="is one of the inputs"):
        stylize_video(engine, frames, styles, styles[0], StylizeOptions())
    with pytest.raises(VideoError, match="is the source itself"):
        stylize_video(engine, frames, styles, frames, StylizeOptions())
    # there is enough to encode a style, but not for a frame
    monkeypatch.setattr("ieast.stylizer.feature_stylizer.stylization_bytes", lambda *arguments, **options: 1 << 60)
    with pytest.raises(MemoryLimitError, match=r"^stylizing 1 x 49x38 pixels needs up to 1152921504\.6 GB of memory on cpu"):
        stylize_video(engine, frames, styles, tmp_path / output, StylizeOptions())
    assert files(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({Path(name).parts[0] for name in before})


def test_settings_are_written_as_json(engine, folders):
    contents, styles, output = folders
    stylize_folder(engine, contents, styles, output, StylizeOptions(0.25))
    settings = json.loads((output / SETTINGS).read_text())
    assert (
        settings["options"].items() >= {"alpha": 0.25, "style_size": 512, "preserve_colour": "none", "suffix": ".png"}.items()
    )
    assert (set(settings["contents"]), set(settings["styles"])) == ({"a", "sub/b"}, {"x", "y"})


def test_is_video():
    assert [is_video(Path(name)) for name in ("a.mp4", "a.MOV", "a.webm", "a.gif", "a.png", "mp4")] == [True] * 3 + [False] * 3


def test_an_original_is_not_taken_for_a_result(engine, tmp_path):
    content, style = tmp_path / "results" / "monet" / "x.png", tmp_path / "monet.png"
    content.parent.mkdir(parents=True)
    for number, path in enumerate((content, style)):
        draw_picture(number, 40, 40).save(path)
    before = content.read_bytes()
    with pytest.raises(ImageError, match=rf"^{content}: lies where a result is to lie"):
        stylize_folder(engine, content.parent, style, tmp_path / "results", StylizeOptions())
    assert content.read_bytes() == before
