import io
import json
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import yaml
from helpers.datasets import draw_picture
from helpers.videos import write_video
from PIL import Image
from typer.testing import CliRunner

from ieast.checkpoint import load_model, save_model
from ieast.cli.main import _fraction, app, main
from ieast.config import EncoderConfig, ModelConfig, StylizeOptions
from ieast.errors import IeastError, OutputError
from ieast.io.images import read_image, to_tensor
from ieast.io.listing import list_frames
from ieast.io.video import probe, read_video_frames
from ieast.layers.colour import match_colours
from ieast.methods import new_model
from ieast.models.encoder_weights import build_encoder
from ieast.models.vgg19 import WIDTHS
from ieast.stylization.session import StyleSession
from ieast.stylization.steady import Steady
from ieast.stylizer.memory import stylization_bytes

runner = CliRunner()
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="vgg19-compact", weights="untrained"))
    encoder.normalize_taps([torch.rand(2, 3, 64, 64)])
    stylizer = new_model("ieast", encoder, ModelConfig(attention_start="identity"))
    with torch.no_grad():  # spread the untrained decoder's output over the range of a picture
        stylizer.decoder.conv1_1.weight.mul_(8)
        stylizer.decoder.conv1_1.bias.fill_(0.5)
    folder = tmp_path_factory.mktemp("model") / "model"
    save_model(stylizer, folder, method="ieast", encoder_source="untrained", provenance={})
    return folder


@pytest.fixture
def pictures(tmp_path):
    random = np.random.default_rng(0)
    for name, size in (("content", (75, 101)), ("style", (64, 48))):
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path / "content.png", tmp_path / "style.png"


def stylize(*arguments):
    return runner.invoke(app, ["stylize", *map(str, arguments)])


def refusal(*arguments):
    result = stylize(*arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, IeastError)
    return str(result.exception)


def test_stylize_keeps_the_contents_size_and_equals_the_library(model, pictures, tmp_path):
    content, style = pictures
    result = stylize(content, style, "-o", tmp_path / "deep" / "out.png", "--model", model, "--content-noise", 0)
    assert result.exit_code == 0, result.output
    assert "101x75" in result.output
    written = to_tensor(read_image(tmp_path / "deep" / "out.png"))
    expected = load_model(model)[0].stylize(to_tensor(read_image(content)), to_tensor(read_image(style)))
    assert written.shape[-2:] == (75, 101)
    assert written.std() > 0.02  # not a flat or clipped picture, on which anything would agree
    assert (written - expected).abs().max() <= 0.5 / 255 + 1e-6


def test_pictures_go_from_standard_input_to_standard_output(model, pictures, tmp_path):
    content, style = pictures
    assert stylize(content, style, "-o", tmp_path / "out.png", "--model", model).exit_code == 0
    words = ["stylize", "-", str(style), "-o", "-", "--model", str(model), "--json"]
    result = runner.invoke(app, words, input=content.read_bytes())
    assert result.exit_code == 0, result.output
    assert result.stdout_bytes == (tmp_path / "out.png").read_bytes()
    facts = json.loads(result.stderr.splitlines()[-1])
    assert (facts["width"], facts["height"], facts["method"]) == (101, 75, "ieast")
    jpeg = runner.invoke(app, [*words, "--suffix", ".jpg"], input=content.read_bytes()).stdout_bytes
    assert Image.open(io.BytesIO(jpeg)).format == "JPEG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-", "-", "-o", "x.png"], "-: only the content comes from standard input"),
        (["{folder}", "{style}", "-o", "-"], "--output -: standard output takes one picture"),
        (["{content}", "{style}", "-o", "-", "--suffix", ".xyz"], "standard output.xyz: the name must end in the suffix of a"),
    ],
)
def test_what_streams_cannot_do_is_said(model, pictures, tmp_path, arguments, message):
    names = {"folder": tmp_path, "content": pictures[0], "style": pictures[1]}
    assert refusal(*(word.format(**names) for word in arguments), "--model", model).startswith(message)


def test_broken_standard_input_is_named(model, pictures):
    result = runner.invoke(app, ["stylize", "-", str(pictures[1]), "-o", "-", "--model", str(model)], input=b"no picture")
    assert str(result.exception).startswith("standard input: is not an image in a known format")


def test_json_tells_what_a_folder_became(model, folders, tmp_path):
    contents, styles = folders[:2]
    result = stylize(contents, styles, "-o", tmp_path / "out", "--model", model, "--json")
    facts = json.loads(result.stdout.splitlines()[-1])
    assert facts["output"] == str(tmp_path / "out")
    assert facts["made"] == len(list((tmp_path / "out").rglob("*.png"))) > 0
    assert facts["failed"] == {}


def test_onnx_runtime_gives_the_same_picture(model, pictures, tmp_path):
    content, style = pictures
    exported = runner.invoke(app, ["export-onnx", "ieast", "-o", str(tmp_path / "model")])
    assert re.search(
        r"ieast, \d\.\d MB, opset 18, up to \de-\d+ from PyTorch: bound.onnx, colours.onnx, decoder.onnx", exported.output
    )
    for engine, folder in (("torch", "ieast"), ("onnx", tmp_path / "model")):
        result = stylize(content, style, "-o", tmp_path / f"{engine}.png", "--model", folder, "--engine", engine)
        assert result.exception is None, result.output
    ours, theirs = (np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int) for name in ("onnx", "torch"))
    assert np.abs(ours - theirs).max() <= 1
    assert "ONNX Runtime's engine computes on the CPU" in refusal(
        content, style, "-o", tmp_path / "x.png", "--model", tmp_path / "model", "--engine", "onnx", "--device", "cuda"
    )
    message = refusal(content, style, "-o", tmp_path / "x.png", "--model", model, "--engine", "onnx")
    assert message.startswith(f"{model} has no form for ONNX Runtime. Install ieast with its extra `torch`")


@pytest.mark.parametrize("command", ["export", "export-onnx"])
def test_an_export_replaces_nothing_but_an_earlier_one(model, tmp_path, command):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("precious")
    (tmp_path / "note.txt").write_text("precious")
    for name, held in (("mine", "holds diary.txt"), ("note.txt", "is a file")):
        result = runner.invoke(app, [command, str(model), "-o", str(tmp_path / name)])
        assert isinstance(result.exception, OutputError)
        assert str(result.exception) == (
            f"{tmp_path / name}: {held}, which would be lost. Give a folder that is empty or not there yet"
        )
    assert (tmp_path / "mine" / "diary.txt").read_text() == (tmp_path / "note.txt").read_text() == "precious"


def test_an_export_follows_a_link_and_replaces_an_earlier_export(model, tmp_path):
    (tmp_path / "place").mkdir()
    (tmp_path / "link").symlink_to("place")
    for _ in range(2):
        result = runner.invoke(app, ["export", str(model), "-o", str(tmp_path / "link")])
        assert result.exception is None, result.output
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "place" / "config.json").is_file()


def test_a_model_is_not_exported_over_itself(model, tmp_path):
    (tmp_path / "link").symlink_to(model)
    before = everything(model)
    for output in (model, tmp_path / "link"):
        result = runner.invoke(app, ["export", str(model), "-o", str(output)])
        assert str(result.exception) == (
            f"{model}: is one of the inputs and would be overwritten. Give the result another name"
        )
    assert everything(model) == before


def test_a_sheet_of_styles_takes_no_file_for_a_folder(pictures, tmp_path):
    content, style = pictures
    result = runner.invoke(app, ["sheet", str(content), "--styles", str(style), "-o", str(tmp_path / "sheet.jpg")])
    assert isinstance(result.exception, IeastError)
    assert str(result.exception) == f"{style}: is a file. Give a folder of artworks"
    assert not (tmp_path / "sheet.jpg").exists()


@pytest.mark.parametrize(
    ("text", "rate"), [("23.976023976023978", Fraction(24000, 1001)), ("29.97", Fraction(2997, 100)), ("25", 25)]
)
def test_frame_rates_are_fractions_that_containers_hold(text, rate):
    assert _fraction(text) == rate
    assert max(_fraction("0.333333333333").as_integer_ratio()) == 3


def test_shells_can_complete_the_command(tmp_path):
    # What `--install-completion` has the shell run; `--show-completion` prints it for whatever shell called it.
    script = runner.invoke(app, [], prog_name="ieast", env={"_IEAST_COMPLETE": "source_bash"}).stdout
    asked = 'complete -p ieast; COMP_WORDS=(ieast sty); COMP_CWORD=1; _ieast_completion ieast; echo "${COMPREPLY[@]}"'
    (tmp_path / "ieast").write_text(f"#!{sys.executable}\nfrom ieast.cli.main import main\nmain()\n")
    (tmp_path / "ieast").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", f"{script}\n{asked}"], env=environment, capture_output=True, text=True)
    assert done.stdout == "complete -o default -F _ieast_completion ieast\nstylize\n", done.stderr


def test_alpha_changes_the_picture(model, pictures, tmp_path):
    for alpha in ("0", "1"):
        stylize(*pictures, "-o", tmp_path / f"{alpha}.png", "--model", model, "--alpha", alpha)
    assert (tmp_path / "0.png").read_bytes() != (tmp_path / "1.png").read_bytes()


@pytest.mark.parametrize("alpha", ["-0.1", "1.5", "nan"])
def test_alpha_out_of_range_is_refused(model, pictures, tmp_path, alpha):
    message = refusal(*pictures, "-o", tmp_path / "out.png", "--model", model, "--alpha", alpha)
    assert message == f"alpha is {float(alpha)}; it must lie between 0 and 1"


def test_unknown_extension_is_refused_before_anything_is_read(tmp_path):
    message = refusal(tmp_path / "nothing.png", tmp_path / "nothing.png", "-o", tmp_path / "out.xyz", "--model", tmp_path)
    assert ".xyz" in message
    assert ".png" in message


@pytest.fixture
def fails(model, monkeypatch, capsys, tmp_path):
    """Runs the command as a user does; sees that it ends with one message and exit code 2, and that it wrote nothing."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ieast", "stylize", *map(str, arguments), "--model", str(model)])
        before = everything(tmp_path)
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        assert everything(tmp_path) == before
        said = capsys.readouterr()
        (message,) = re.findall(r"^ieast: (.*)\n\Z", said.err, re.DOTALL | re.MULTILINE)
        assert said.out == ""
        return message

    return run


def everything(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def samples(path):
    return np.asarray(read_image(path)).astype(int)


def succeeds(model, *arguments):
    result = stylize(*arguments, "--model", model)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_an_input_is_not_overwritten(fails, pictures):
    assert fails(*pictures, "-o", pictures[0]) == (
        f"{pictures[0]}: is one of the inputs and would be overwritten. Give the result another name"
    )


def test_unreadable_picture_is_named(fails, pictures, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_text("not a picture")
    assert fails(broken, pictures[1], "-o", tmp_path / "out.png").startswith(f"{broken}: is not an image in a known format")


def test_a_file_that_is_not_there_is_named(fails, pictures, tmp_path):
    for arguments in (
        [tmp_path / "no.png", pictures[1]],
        [pictures[0], tmp_path / "no.png"],
        [*pictures, "--mask", tmp_path / "no.png"],
    ):
        message = fails(*arguments, "-o", tmp_path / "out.png")
        assert message == f"{tmp_path / 'no.png'}: there is no such file or folder. Check the path"


def test_folder_without_a_model_is_named(pictures, tmp_path):
    message = refusal(*pictures, "-o", tmp_path / "out.png", "--model", tmp_path)
    assert message == f"{tmp_path} holds no model: there is no config.json in it"


def test_large_styles_are_looked_at_in_the_asked_size(model, pictures, tmp_path):
    draw_picture(5, 96, 64).save(tmp_path / "large.png")
    read_image(tmp_path / "large.png").resize((48, 32), Image.Resampling.LANCZOS).save(tmp_path / "small.png")
    succeeds(model, pictures[0], tmp_path / "large.png", "-o", tmp_path / "a.png", "--style-size", "32")
    succeeds(model, pictures[0], tmp_path / "small.png", "-o", tmp_path / "b.png")
    assert (samples(tmp_path / "a.png") == samples(tmp_path / "b.png")).all()


@pytest.mark.parametrize("weights", [[], ["--weight", "2", "--weight", "0.5"]])
def test_two_equal_styles_are_one(model, pictures, tmp_path, weights):
    content, style = pictures
    succeeds(model, content, style, "-o", tmp_path / "one.png")
    succeeds(model, content, style, style, "-o", tmp_path / "two.png", *weights)
    assert np.abs(samples(tmp_path / "one.png") - samples(tmp_path / "two.png")).max() <= 1


def test_a_style_without_weight_is_not_seen_and_a_blend_lies_between(model, pictures, tmp_path):
    content, style = pictures
    draw_picture(5, 60, 60).save(tmp_path / "other.png")
    blends = {"first": (1, 0), "blend": (1, 1), "second": (0, 1)}
    for name, (one, other) in blends.items():
        weights = ("--weight", one, "--weight", other)
        succeeds(model, content, style, tmp_path / "other.png", "-o", tmp_path / f"{name}.png", *weights)
    succeeds(model, content, style, "-o", tmp_path / "alone.png")
    first, blend, second = (samples(tmp_path / f"{name}.png") for name in blends)
    assert (first == samples(tmp_path / "alone.png")).all()
    distance = np.abs(first - second).mean()
    assert distance > 0.1
    assert 0 < np.abs(blend - first).mean() < distance
    assert 0 < np.abs(blend - second).mean() < distance


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0, 0], "the weights of all 2 styles are 0; give at least one style a weight above 0"),
        ([1, "nan"], "style 1 has weight nan; weights must be finite and at least 0"),
        ([1], "1 weights for 2 styles; give one for each, in the same order, or none"),
    ],
)
def test_weights_that_do_not_blend_are_refused(fails, pictures, tmp_path, weights, message):
    options = [word for weight in weights for word in ("--weight", weight)]
    assert fails(pictures[0], pictures[1], pictures[1], "-o", tmp_path / "out.png", *options) == message


def test_masks_of_the_wrong_size_are_refused(fails, pictures, tmp_path):
    content, style = pictures
    for name, size in (("fits", (101, 75)), ("not", (75, 101))):
        Image.new("L", size, 255).save(tmp_path / f"{name}.png")
    masks = ["--mask", tmp_path / "fits.png", "--mask", tmp_path / "not.png"]
    assert fails(content, style, style, "-o", tmp_path / "out.png", *masks) == (
        f"{tmp_path / 'not.png'}: is 75x101 pixels, but {content} is 101x75; a mask must have exactly the content's size"
    )


def test_a_white_mask_changes_nothing_and_a_black_one_keeps_the_content(model, pictures, tmp_path):
    for name, level in (("white", 255), ("black", 0)):
        Image.new("L", (101, 75), level).save(tmp_path / f"{name}.png")
        succeeds(model, *pictures, "-o", tmp_path / f"{name}_out.png", "--mask", tmp_path / f"{name}.png")
    succeeds(model, *pictures, "-o", tmp_path / "full.png")
    succeeds(model, *pictures, "-o", tmp_path / "none.png", "--alpha", 0)
    assert np.abs(samples(tmp_path / "white_out.png") - samples(tmp_path / "full.png")).max() <= 1
    assert np.abs(samples(tmp_path / "black_out.png") - samples(tmp_path / "none.png")).max() <= 1


def test_alpha_zero_does_not_look_at_the_style(model, pictures, tmp_path):
    draw_picture(5, 60, 60).save(tmp_path / "other.png")
    for style in (pictures[1], tmp_path / "other.png"):
        succeeds(model, pictures[0], style, "-o", tmp_path / f"with_{style.name}", "--alpha", "0")
    assert (samples(tmp_path / "with_style.png") == samples(tmp_path / "with_other.png")).all()


def test_kept_colours_leave_the_styles_luminance_in_the_written_picture(model, pictures, tmp_path):
    draw_picture(3, 90, 70).save(pictures[0])
    succeeds(model, *pictures, "-o", tmp_path / "free.png")
    succeeds(model, *pictures, "-o", tmp_path / "kept.png", "--preserve-colour", "luminance")
    weights = np.array([0.299, 0.587, 0.114])
    free, kept, content = (samples(path) for path in (tmp_path / "free.png", tmp_path / "kept.png", pictures[0]))
    assert np.abs(kept @ weights - free @ weights).max() <= 1  # of 255: each of the two was rounded
    assert np.abs(kept - free).max() > 10
    # chrominance is the content's, or the same nearer to grey
    (colour, wanted) = (picture - (picture @ weights)[..., None] for picture in (kept, content))
    assert np.abs(np.where(np.abs(wanted) > np.abs(colour), 0, colour - wanted)).max() <= 2


def test_coral_gives_the_style_the_contents_colours(model, pictures, tmp_path):
    succeeds(model, *pictures, "-o", tmp_path / "free.png")
    succeeds(model, *pictures, "-o", tmp_path / "coral.png", "--preserve-colour", "coral", "--content-noise", 0)
    stylizer, content, style = load_model(model)[0], *(to_tensor(read_image(path)) for path in pictures)
    expected = stylizer.stylize(content, match_colours(style, content))
    assert (to_tensor(read_image(tmp_path / "coral.png")) - expected).abs().max() <= 0.5 / 255 + 1e-6
    assert (samples(tmp_path / "coral.png") != samples(tmp_path / "free.png")).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 150), (301, 2), (17, 33), (15, 16), (129, 65)])
def test_any_size_is_kept(model, pictures, tmp_path, size):
    draw_picture(4, *size).save(tmp_path / "content.bmp")
    said = succeeds(model, tmp_path / "content.bmp", pictures[1], "-o", tmp_path / "out.png")
    assert f"{size[0]}x{size[1]}" in said
    assert read_image(tmp_path / "out.png").size == size


def test_a_picture_too_large_for_memory_is_refused_with_what_it_needs(fails, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("ieast.stylizer.memory.available_bytes", lambda device: 1_000_000)
    # 101x75 is computed as 112x80; the style as it is
    needed = stylization_bytes((1, 80, 112), [(1, 64, 48)], WIDTHS["vgg19-compact"]) / 1e9
    assert fails(*pictures, "-o", tmp_path / "out.png") == (
        f"stylizing 1 x 101x75 pixels needs up to {needed:.1f} GB of memory on cpu, and 0.0 GB are available. Make the picture "
        "smaller, look at the style smaller (--style-size), or close other programs"
    )


@pytest.fixture
def folders(tmp_path):
    for folder, count in (("contents", 3), ("styles", 2)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            draw_picture(number + 10 * count, 40 + number, 30).save(tmp_path / folder / f"{number}.png")
    return tmp_path / "contents", tmp_path / "styles"


def test_a_folder_in_the_styles_of_another_and_again(model, folders, tmp_path):
    said = succeeds(model, *folders, "-o", tmp_path / "out")
    assert said == f"{tmp_path / 'out'}  6 pictures made, 0 kept from before, ieast\n"
    for style in range(2):
        for number in range(3):
            assert read_image(tmp_path / "out" / f"{style}" / f"{number}.png").size == (40 + number, 30)
    assert "0 pictures made, 6 kept from before" in succeeds(model, *folders, "-o", tmp_path / "out")
    succeeds(model, folders[0] / "2.png", folders[1] / "1.png", "-o", tmp_path / "single.png")
    assert (tmp_path / "single.png").read_bytes() == (tmp_path / "out" / "1" / "2.png").read_bytes()


def test_a_bad_file_in_a_folder_is_said_when_all_others_are_done(model, folders, tmp_path):
    (folders[0] / "1.png").write_bytes(b"?")
    result = stylize(*folders, "-o", tmp_path / "out", "--model", model, "--suffix", ".jpg")
    assert "4 pictures made, 0 kept" in result.output
    assert isinstance(result.exception, IeastError)
    first, second = str(result.exception).splitlines()
    assert first == "1 pictures could not be stylized; all others are there:"
    assert second.startswith(f"  {folders[0] / '1.png'}: is not an image in a known format")


def test_what_is_passed_over_in_a_folder_is_counted_and_named(model, folders, tmp_path):
    for number in range(22):
        (folders[0] / f"{number:02}.txt").write_text("?")
    said = succeeds(model, *folders, "-o", tmp_path / "out").splitlines()
    named = ", ".join(str(folders[0] / f"{number:02}.txt") for number in range(20))
    assert said[1:] == [f"22 files passed over, because they are no pictures: {named} and 2 more"]


def test_what_does_not_go_with_folders_is_refused(fails, folders, pictures, tmp_path):
    contents, styles = folders
    out = ("-o", tmp_path / "out")
    assert fails(contents, *pictures, *out) == "a folder of contents takes one style or one folder of styles, not 2"
    assert fails(pictures[0], pictures[1], styles, "-o", tmp_path / "out.png").startswith("a folder of styles is applied to")
    assert fails(contents, styles, *out, "--weight", 1).startswith("weights blend the styles of one picture")
    assert fails(contents, styles, *out, "--mask", pictures[0]).startswith("--mask is for one picture or clip;")
    assert fails(contents, styles, *out, "--frame-rate", 25).startswith("--frame-rate is for a folder of frames;")
    assert fails(contents, styles, "-o", contents / "out").startswith(f"{contents / 'out'}: lies in {contents}, where results")
    assert fails(contents, styles, *out, "--suffix", ".xyz").startswith(f"{tmp_path / 'out' / 'x.xyz'}: the name must end in")


@pytest.mark.parametrize("name", ["out.mp4", "out.webm"])
def test_a_video_keeps_its_frames(model, pictures, tmp_path, name):
    source = write_video(tmp_path / "clip.mp4", 4, (48, 32))
    said = succeeds(model, source, pictures[1], pictures[1], "-o", tmp_path / name, "--weight", 1, "--weight", 2)
    assert said == f"{tmp_path / name}  4 frames, 1 audio tracks, ieast\n"
    after = probe(tmp_path / name)
    assert (after.width, after.height, len(list(read_video_frames(tmp_path / name)))) == (48, 32, 4)
    assert float(after.frame_rate) == pytest.approx(30000 / 1001, abs=0.2)  # WebM counts milliseconds


def test_frames_become_frames_or_a_video(model, pictures, tmp_path):
    (tmp_path / "shot").mkdir()
    for number in range(3):
        draw_picture(number, 40, 30).save(tmp_path / "shot" / f"{number}.png")
    succeeds(model, tmp_path / "shot", pictures[1], "-o", tmp_path / "frames", "--frames")
    assert [path.name for path in list_frames(tmp_path / "frames")] == ["0.png", "1.png", "2.png"]
    succeeds(model, tmp_path / "shot", pictures[1], "-o", tmp_path / "out.mkv", "--frame-rate", "24000/1001")
    assert (probe(tmp_path / "out.mkv").frames, len(list(read_video_frames(tmp_path / "out.mkv")))) == (3, 3)
    assert float(probe(tmp_path / "out.mkv").frame_rate) == pytest.approx(24000 / 1001, abs=0.01)


def test_a_steady_clip_is_the_librarys(model, pictures, tmp_path):
    (tmp_path / "shot").mkdir()
    for number in range(3):
        draw_picture(0, 60, 44).crop((number, 0, 56 + number, 40)).save(tmp_path / "shot" / f"{number}.png")
    succeeds(model, tmp_path / "shot", pictures[1], "-o", tmp_path / "out", "--frames", "--steady")
    session = StyleSession(load_model(model)[0], [read_image(pictures[1])], StylizeOptions(), encode=True)
    steady = Steady(session.stylize)
    for number in range(3):
        expected = steady(read_image(tmp_path / "shot" / f"{number}.png"))
        assert read_image(tmp_path / "out" / f"{number}.png").tobytes() == expected.tobytes()


def test_only_clips_are_steady(fails, pictures, folders, tmp_path):
    message = "--steady is for videos, and for the frames of one with --frames. Leave it out"
    assert fails(*pictures, "-o", tmp_path / "out.png", "--steady") == message
    assert fails(*folders, "-o", tmp_path / "out", "--steady") == message


def test_clips_that_cannot_be_read_or_written_are_refused(fails, pictures, tmp_path):
    style, out = pictures[1], ("-o", tmp_path / "out.mp4")
    clip = write_video(tmp_path / "clip.mp4", 2, (48, 32))
    (tmp_path / "broken.mp4").write_bytes(b"?" * 5000)
    with av.open(str(tmp_path / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 48_000, 0
        file.mux([*stream.encode(frame), *stream.encode(None)])
    (tmp_path / "song.xyz").write_bytes((tmp_path / "sound.mp4").read_bytes())
    assert "sound.mp4: is not a video, because it holds only sound." in fails(tmp_path / "sound.mp4", style, *out)
    assert "broken.mp4: is damaged, or not a video in a format" in fails(tmp_path / "broken.mp4", style, *out)
    assert "song.xyz: is not an image in a known format" in fails(tmp_path / "song.xyz", style, "-o", tmp_path / "out.png")
    assert "out.xyz: the name must end in the suffix of a video that can be written" in fails(
        clip, style, "-o", tmp_path / "out.xyz"
    )
    assert "out.png: the name must end in the suffix of a video that can be written" in fails(
        clip, style, "-o", tmp_path / "out.png"
    )
    assert "content.png: is damaged, or not a video" in fails(pictures[0], style, *out)
    assert "clip.mp4: is the source itself" in fails(clip, style, "-o", clip)
    assert "style.png: is one of the inputs" in fails(clip, style, "-o", style)
    assert "clip.mp4: is not a folder of frames" in fails(clip, style, *out, "--frame-rate", 25)
    assert fails(clip, style, *out, "--frame-rate", "1/0").startswith("--frame-rate is '1/0'; give a number such as 25")
    assert fails(clip, style, *out, "--mask", pictures[0]) == (
        f"{pictures[0]}: is 101x75 pixels, but {clip} is 48x32; a mask must have exactly the content's size"
    )


def test_errors_are_one_message_and_exit_code_2(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["ieast", "last-run", "--work-folder", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"ieast: no pipeline run has finished yet: there is no {tmp_path / 'last_run.txt'}\n"


def test_train_works_without_the_pipeline_and_notices_new_pictures(tmp_path):
    random = np.random.default_rng(0)

    def draw(side, name):
        path = tmp_path / "data" / side / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (80, 96, 3), dtype=np.uint8)).save(path)

    for number in range(3):
        draw("content", f"{number}.png")
        draw("style", f"{number}.png")
    document = yaml.safe_load((Path(__file__).parents[2] / "configs" / "quickstart.yaml").read_text())
    document["parameters"]["config"]["training"] |= {"iterations": 1, "reconstruction_iterations": 1, "crop": 64}
    document["parameters"]["config"]["prepare"] |= {"size": 64, "held_out": 0}
    document["parameters"]["config"]["encoder"]["weights"] = "untrained"
    del document["parameters"]["config"]["model"]["start"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(document))
    command = ["train", str(tmp_path / "data"), "--config", str(tmp_path / "config.yaml"), "-o", str(tmp_path / "out")]
    result = runner.invoke(app, command)
    assert result.exit_code == 0, result.output
    draw("style", "new.png")
    assert runner.invoke(app, command).exit_code == 0
    assert len(list((tmp_path / "out" / "prepared").iterdir())) == 2
    models = list((tmp_path / "out" / "training").glob("*/model"))
    assert len(models) == 2
    assert all(load_model(model) for model in models)


def test_train_names_the_missing_folder(tmp_path):
    config = Path(__file__).parents[2] / "configs" / "quickstart.yaml"
    result = runner.invoke(app, ["train", str(tmp_path / "no"), "--config", str(config), "-o", str(tmp_path / "out")])
    assert str(result.exception) == f"there is no folder {tmp_path / 'no'}; give one that holds content/ and style/"


def test_import_checkpoint_names_the_missing_file(tmp_path):
    files = [tmp_path / name for name in ("vgg.pth", "transform.pth", "decoder.pth")]
    arguments = ["--vgg", files[0], "--transform", files[1], "--decoder", files[2], "-o", tmp_path / "model"]
    result = runner.invoke(app, ["import-checkpoint", *map(str, arguments)])
    assert str(result.exception) == f"there is no weights file {files[0]}; check the path, or put the file there"
    assert not (tmp_path / "model").exists()


def test_importing_the_package_changes_nothing_and_needs_no_pipeline_libraries():
    code = (
        "import sys, random, torch; state = torch.get_rng_state(); "
        "import ieast.training.launch, ieast.evaluation.report, ieast.checkpoint, ieast.data.prepare, ieast.cli.main; "
        "assert torch.equal(state, torch.get_rng_state()); "
        "print(*sorted({'zenml', 'mlflow', 'dvc'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""
