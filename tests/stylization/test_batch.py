"""Batches: what is made, what is kept, what fails, and that processes change nothing."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.videos import write_video
from PIL import Image

from ieast.config import BatchConfig, StylizeOptions
from ieast.errors import ConfigError, ImageError, NumericsError
from ieast.io.clips import list_clips
from ieast.io.images import read_image, write_image
from ieast.io.video import read_video_frames
from ieast.models.pretrained import MODELS
from ieast.stylization import ray_jobs
from ieast.stylization.batch import MANIFEST, SHEET, _link, check_batch, stylize_batch
from ieast.stylization.files import stylize_picture
from ieast.stylization.jobs import Job, Painter, carry_out
from ieast.stylization.loading import EngineSource

SOURCE = EngineSource(MODELS["sanet"], "torch", "cpu")


def picture(path, seed, size=(40, 32)):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    write_image(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC), path)
    return path


@pytest.fixture
def folders(tmp_path):
    for number in range(2):
        picture(tmp_path / "contents" / f"{number}.png", number)
        picture(tmp_path / "styles" / f"s{number}.png", 10 + number)
    return tmp_path


def run(folder, **changes):
    values = {"contents": str(folder / "contents"), "styles": str(folder / "styles"), "output": str(folder / "out")}
    config = BatchConfig.parse({"settings": {"style_size": 32}, **values, **changes})
    return stylize_batch(config, SOURCE, None)


def test_each_result_is_what_the_command_for_one_picture_makes(folders):
    batch = run(folders)
    engine, _ = SOURCE.load()
    config = BatchConfig.parse({"contents": "x", "styles": "y", "settings": {"style_size": 32}})
    assert (batch.made, batch.kept, batch.failed) == (4, 0, 0)
    for row in batch.manifest.itertuples():
        content, style = folders / "contents" / f"{row.content}.png", folders / "styles" / f"{row.style}.png"
        stylize_picture(engine, content, [style], folders / "one.png", config.settings.options)
        assert np.array_equal(read_image(folders / "one.png"), read_image(batch.folder / row.result))
        assert row.model_digest == engine.digest()
        assert row.seconds > 0
    written = pd.read_csv(batch.folder / MANIFEST)
    assert list(written["result"]) == list(batch.manifest["result"])
    with Image.open(batch.folder / SHEET) as sheet:
        assert sheet.width > 3 * 160


def test_a_second_run_makes_nothing_and_gives_the_same_version(folders):
    first, second = run(folders), run(folders)
    assert (second.made, second.kept) == (0, 4)
    assert second.folder == first.folder
    assert list(second.manifest["seconds"]) == list(first.manifest["seconds"])


def test_what_changed_is_made_anew_and_the_version_before_stays(folders):
    first = run(folders)
    before = {path.relative_to(first.folder): path.read_bytes() for path in first.folder.rglob("*.png")}
    picture(folders / "styles" / "s1.png", 99)
    second = run(folders)
    assert (second.made, second.kept) == (2, 2)
    assert second.version != first.version
    assert {path.relative_to(first.folder): path.read_bytes() for path in first.folder.rglob("*.png")} == before
    third = run(folders, settings={"style_size": 32, "alpha": 0.5})
    assert third.made == 4


def test_a_result_that_went_missing_is_made_again(folders):
    first = run(folders)
    shutil.rmtree(folders / "out" / "store")
    assert run(folders).made == 4
    assert run(folders).folder == first.folder


def test_what_fails_is_listed_and_stops_nothing(folders):
    (folders / "contents" / "torn.png").write_bytes((folders / "contents" / "0.png").read_bytes()[:60])
    (folders / "styles" / "gone.png").symlink_to(folders / "nowhere.png")
    (folders / "contents" / "notes.txt").write_text("no picture")
    batch = run(folders)
    assert (batch.made, batch.failed) == (4, 5)
    assert [path.name for path in batch.passed_over] == ["notes.txt"]
    errors = batch.manifest.set_index(["content", "style"])["error"]
    assert "damaged or truncated" in errors["torn", "s0"]
    assert "gone.png" in errors["0", "gone"]
    picture(folders / "contents" / "torn.png", 5)
    assert run(folders).made == 2


def test_equal_files_are_computed_once(folders):
    shutil.copy(folders / "contents" / "0.png", folders / "contents" / "twin.png")
    batch = run(folders)
    assert (batch.made, len(batch.manifest)) == (4, 6)
    assert (batch.folder / "s0" / "twin.png").read_bytes() == (batch.folder / "s0" / "0.png").read_bytes()


def test_a_dataset_has_its_clips_stylized_too(folders):
    (folders / "contents").rename(folders / "content")
    (folders / "styles").rename(folders / "style")
    for number in range(2):
        picture(folders / "clips" / "walk" / f"{number}.png", 20 + number)
    config = BatchConfig.parse({"data": {}, "most_styles": 1, "output": str(folders / "out"), "settings": {"style_size": 32}})
    batch = stylize_batch(config, SOURCE, folders)
    assert sorted(batch.manifest["content"]) == ["0", "1", "clips/walk"]
    assert len(list((batch.folder / "s0" / "clips" / "walk").iterdir())) == 2
    assert stylize_batch(config, SOURCE, folders).made == 0


@pytest.fixture
def dataset(folders):
    (folders / "contents").rename(folders / "content")
    (folders / "styles").rename(folders / "style")
    return folders


def run_dataset(dataset):
    config = BatchConfig.parse({"data": {}, "most_styles": 1, "output": str(dataset / "out"), "settings": {"style_size": 32}})
    return stylize_batch(config, SOURCE, dataset)


def test_a_folder_of_clips_that_holds_frames_is_the_clip_as_it_is_where_models_are_scored(dataset):
    for number in range(2):
        picture(dataset / "clips" / f"{number}.png", 20 + number)
    (dataset / "clips" / "notes").mkdir()
    assert list_clips(dataset / "clips") == [dataset / "clips"]
    batch = run_dataset(dataset)
    assert sorted(batch.manifest["content"]) == ["0", "1", "clips"]
    assert batch.failed == 0


def test_videos_among_the_clips_are_stylized_as_videos(dataset):
    for seed, name in enumerate(("walk", "run.v2")):
        picture(dataset / "clips" / name / "0.png", seed)
    for name in ("walk.mp4", "sea.MOV"):
        write_video(dataset / "clips" / name, 3, (32, 24), audio=None)
    (dataset / "clips" / "notes.txt").touch()
    picture(dataset / "clips" / "poster.png", 21)
    batch = run_dataset(dataset)
    results = batch.manifest.set_index("content")["result"].drop(["0", "1"])
    assert dict(results) == {
        "clips/run.v2": "s0/clips/run.v2",
        "clips/sea": "s0/clips/sea.mp4",
        "clips/walk": "s0/clips/walk",
        "clips/walk.mp4": "s0/clips/walk.mp4.mp4",
    }
    assert len(list(read_video_frames(batch.folder / results["clips/sea"]))) == 3
    assert [path.name for path in batch.passed_over] == ["poster.png", "notes.txt"]
    again = run_dataset(dataset)
    assert (batch.made, batch.failed, again.made, again.kept) == (6, 0, 0, 6)
    assert again.folder == batch.folder


def test_clips_that_cannot_be_used_are_listed_and_stop_nothing(dataset):
    (dataset / "clips").mkdir()
    (dataset / "clips" / "torn.mp4").write_bytes(b"torn")
    for name in ("walk/0.png", "walk/1.png", "walk/deeper/0.png"):
        picture(dataset / "clips" / name, 20)
    batch = run_dataset(dataset)
    assert (batch.made, batch.failed) == (2, 2)
    errors = batch.manifest.set_index("content")["error"]
    assert "torn.mp4" in errors["clips/torn"]
    assert "Put all frames of a clip into one folder" in errors["clips/walk"]


def test_frames_that_lie_in_clips_itself_are_one_clip(dataset):
    for number in range(2):
        picture(dataset / "clips" / f"{number}.png", 20 + number)
    batch = run_dataset(dataset)
    assert sorted(batch.manifest["content"]) == ["0", "1", "clips"]
    assert sorted(path.name for path in (batch.folder / "s0" / "clips").iterdir()) == ["0.png", "1.png"]


def test_steady_clips_are_other_results_and_pictures_the_same(folders):
    (folders / "contents").rename(folders / "content")
    (folders / "styles").rename(folders / "style")
    drawn = Image.open(picture(folders / "clips" / "walk" / "0.png", 20))
    drawn.transform(drawn.size, Image.Transform.AFFINE, (1, 0, 1, 0, 1, 0)).save(folders / "clips" / "walk" / "1.png")
    settings = {"data": {}, "most_styles": 1, "output": str(folders / "out"), "settings": {"style_size": 32}}
    plain = stylize_batch(BatchConfig.parse(settings), SOURCE, folders)
    settings["settings"]["steady"] = True
    steady = stylize_batch(BatchConfig.parse(settings), SOURCE, folders)
    assert (steady.made, steady.kept) == (1, 2)
    assert steady.version != plain.version
    first, second = ((batch.folder / "s0" / "clips" / "walk") for batch in (plain, steady))
    assert (first / "0.png").read_bytes() == (second / "0.png").read_bytes()
    assert (first / "1.png").read_bytes() != (second / "1.png").read_bytes()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"contents": "nowhere"}, "nowhere: there is no such file or folder"),
        ({"suffix": ".xyz"}, ".xyz"),
        ({"suffix": "png"}, "must begin with a dot"),
        ({"output": "contents/out"}, "would be stylized the next time"),
    ],
)
def test_what_cannot_work_is_refused(folders, monkeypatch, changes, says):
    monkeypatch.chdir(folders)
    config = BatchConfig.parse({"contents": "contents", "styles": "styles", **changes})
    with pytest.raises((ConfigError, ImageError), match=says):
        check_batch(config)


def test_without_data_both_folders_are_needed():
    with pytest.raises(ConfigError, match="neither `styles` nor `data` is given"):
        BatchConfig.parse({"contents": "photos"})


def test_several_processes_make_the_same(folders):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    alone = run(folders, output=str(folders / "alone"))
    (folders / "contents" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    shared = run(folders, output=str(folders / "shared"), engine="ray", processes=2)
    assert (shared.made, shared.failed) == (4, 2)
    digests = shared.manifest.dropna(subset="result").set_index("result")["result_digest"]
    assert digests.to_dict() == alone.manifest.set_index("result")["result_digest"].to_dict()
    assert "torn.png" in shared.manifest.set_index("content").loc["torn", "error"].iloc[0]


def test_what_a_process_could_not_read_is_named_as_it_was_given(folders, monkeypatch):
    def here(rows, work, *, processes, size, arguments, gpus):
        yield from work(*arguments)(pd.DataFrame(rows)).to_dict("records")

    monkeypatch.setattr(ray_jobs, "shared_out", here)
    monkeypatch.chdir(folders)
    torn = Path("contents", "torn.png")
    torn.write_bytes(b"\x89PNG\r\n\x1a\n")
    options = BatchConfig.parse({"contents": "x", "styles": "y", "settings": {"style_size": 32}}).settings.options
    jobs = [
        Job(content, Path("styles", "s0.png"), Path(f"{content.stem}_out.png")) for content in (torn, Path("contents/0.png"))
    ]
    outcomes = list(ray_jobs.carry_out_by_ray(jobs, SOURCE, options, keep_alpha=False, processes=2))
    assert [outcome.job for outcome in outcomes] == jobs
    assert [outcome.culprit for outcome in outcomes] == [torn, None]
    assert "torn.png" in outcomes[0].error


def test_a_style_is_encoded_once_for_all_its_jobs(folders):
    engine, _ = SOURCE.load()
    opened = []

    class Counting:
        def open(self, styles, options, masks=(), *, encode=False):
            opened.append(styles[0].size)
            return engine.open(styles, options, masks, encode=encode)

    options = BatchConfig.parse({"contents": "x", "styles": "y", "settings": {"style_size": 32}}).settings.options
    style = folders / "styles" / "s0.png"
    jobs = [Job(folders / "contents" / f"{n}.png", style, folders / f"{n}_out.png") for n in range(2)]
    assert all(outcome.error is None for outcome in carry_out(jobs, Counting(), options))
    assert len(opened) == 1
    assert Painter(engine, options).paint(jobs[0]).seconds > 0


def test_two_results_of_one_name_are_refused_before_anything_is_made(tmp_path):
    for place in ("contents/one.png", "contents/portrait/one.png", "styles/cubist.png", "styles/cubist/portrait.png"):
        picture(tmp_path / place, len(place))
    with pytest.raises(ImageError, match=r"under the same name as .*, cubist/portrait/one\.png\. Rename a folder$"):
        run(tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_result_is_never_written_into_another(tmp_path):
    for name in ("a", "b", "version"):
        (tmp_path / name).write_text(name)
    _link(tmp_path / "a", tmp_path / "first")
    with pytest.raises(FileExistsError):
        _link(tmp_path / "b", tmp_path / "first")
    assert (tmp_path / "a").read_text() == "a"


def test_features_that_do_not_converge_lose_one_result_alone(folders, monkeypatch):
    open_ = Painter._opened

    def opened(painter, style):
        session = open_(painter, style)
        if style.stem == "s0":
            session.stylize = not_converging
        return session

    def not_converging(_):
        raise NumericsError("a 6x6 covariance does not converge. Crop or scale the picture a little")

    monkeypatch.setattr(Painter, "_opened", opened)
    batch = run(folders)
    assert (batch.made, batch.failed) == (2, 2)
    failed = batch.manifest[batch.manifest["error"].notna()]
    assert set(failed["style"]) == {"s0"}
    assert failed["error"].str.endswith("Crop or scale the picture a little").all()


def test_with_nothing_left_to_do_no_processes_are_started(monkeypatch):
    monkeypatch.setattr(ray_jobs, "carry_out_by_ray", pytest.fail)
    engine, _ = SOURCE.load()
    assert list(carry_out([], engine, StylizeOptions(), source=SOURCE, processes=4)) == []


def test_a_name_that_is_not_utf_8_is_written_with_escapes(folders):
    name = os.fsdecode(os.fsencode(folders / "contents") + b"/caf\xe9.png")
    shutil.copy(folders / "contents" / "0.png", name)
    Path(os.fsdecode(os.fsencode(folders / "contents") + b"/bad\xe9.png")).write_text("damaged")
    batch = run(folders)
    assert (batch.made + batch.kept, batch.failed) == (6, 2)
    assert r"caf\xe9" in set(pd.read_csv(batch.folder / MANIFEST)["content"])
