import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.datasets import PICTURES
from PIL import Image

from ieast.data.batches import CONTENT, STYLE, PairBatches, PictureCache, iteration_loader, read_crop
from ieast.errors import DataError
from ieast.io.images import read_image

CROP = 32
SIDES = (CONTENT, STYLE)


@pytest.fixture(scope="module")
def paths(prepared) -> tuple[list[Path], list[Path]]:
    return prepared.training_paths("content"), prepared.training_paths("style")


def batches_of(paths: tuple[list[Path], list[Path]], **changes) -> PairBatches:
    return PairBatches(*paths, **({"distinct": 3, "crop": CROP, "seed": 0} | changes))


def imaginary(count: int, styles: int | None = None, **changes) -> PairBatches:
    """Batches of pictures that are never opened."""
    sides = [Path(f"c{k}") for k in range(count)], [Path(f"s{k}") for k in range(styles or count)]
    return batches_of(sides, **changes)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[side], b[side]) for side in a)


def test_a_batch_holds_distinct_crops_of_both_sides_as_bytes(paths):
    batch = batches_of(paths)[0]
    assert {side: (tuple(crops.shape), crops.dtype) for side, crops in batch.items()} == {
        "content": ((3, 3, CROP, CROP), torch.uint8),
        "style": ((3, 3, CROP, CROP), torch.uint8),
        "style_index": ((3,), torch.int64),
    }


def test_a_batch_follows_from_seed_rank_and_iteration_whatever_was_drawn_before(paths):
    in_order, reversed_ = batches_of(paths), batches_of(paths)
    forward = [in_order[i] for i in range(9)]
    np.random.default_rng(5).random()
    torch.rand(3)
    backward = [reversed_[i] for i in reversed(range(9))][::-1]
    assert all(same(a, b) for a, b in zip(forward, backward, strict=True))


@pytest.mark.parametrize("change", [{"seed": 1}, {"rank": 1, "world_size": 2}])
def test_another_seed_or_rank_draws_another_batch(paths, change):
    assert not same(batches_of(paths)[0], batches_of(paths, **change)[0])


def test_every_iteration_crops_anew(paths):
    sides = ([paths[0][0]] * 3, [paths[1][0]] * 3)  # always the same pictures
    batches = batches_of(sides)
    assert not same(batches[0], batches[1])
    assert not torch.equal(batches[0]["content"][0], batches[0]["content"][1])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("count", "world_size"), [(12, 1), (13, 1), (14, 1), (12, 2), (17, 2)])
def test_an_epoch_shows_every_picture_at_most_once_and_leaves_out_less_than_a_batch(side, count, world_size):
    ranks = [imaginary(count, rank=rank, world_size=world_size) for rank in range(world_size)]
    per_epoch = count // (3 * world_size)
    for epoch in range(3):
        iterations = range(epoch * per_epoch, (epoch + 1) * per_epoch)
        shown = [path for i in iterations for rank in ranks for path in rank.paths_of(side, i)]
        assert len(shown) == len(set(shown)) == count - count % (3 * world_size)
        assert set(shown) <= set(ranks[0].sides[side])


@pytest.mark.parametrize("side", SIDES)
def test_no_batch_repeats_a_picture_even_across_the_ends_of_epochs(side):
    batches = imaginary(PICTURES)
    assert all(len(set(batches.paths_of(side, i))) == 3 for i in range(200))


def test_in_the_long_run_pictures_left_out_by_one_epoch_are_shown_by_others():
    batches = imaginary(PICTURES)
    shown = [path for i in range(40 * (PICTURES // 3)) for path in batches.paths_of(CONTENT, i)]
    counts = [shown.count(path) for path in batches.sides[CONTENT]]
    assert min(counts) > 30  # 40 epochs, each of which leaves out one of 13


@pytest.mark.parametrize("side", SIDES)
def test_epochs_are_shuffled_anew(side):
    batches = imaginary(12)
    epochs = [[path for i in range(4 * e, 4 * e + 4) for path in batches.paths_of(side, i)] for e in range(4)]
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert {frozenset(epoch) for epoch in epochs} == {frozenset(batches.sides[side])}


def test_contents_and_styles_are_shuffled_independently():
    batches = imaginary(12)
    orders = [[int(path.name[1:]) for i in range(4) for path in batches.paths_of(side, i)] for side in SIDES]
    assert orders[0] != orders[1]


def test_sides_of_different_length_have_epochs_of_their_own():
    batches = imaginary(6, styles=12)
    contents = [path for i in range(4) for path in batches.paths_of(CONTENT, i)]
    styles = [path for i in range(4) for path in batches.paths_of(STYLE, i)]
    assert len(set(styles)) == 12
    assert set(contents[:6]) == set(contents[6:]) == set(batches.sides[CONTENT])


@pytest.mark.parametrize("side", SIDES)
def test_ranks_draw_disjoint_pictures_in_every_iteration(side):
    ranks = [imaginary(PICTURES, rank=rank, world_size=4) for rank in range(4)]
    for i in range(30):
        shown = [path for rank in ranks for path in rank.paths_of(side, i)]
        assert len(set(shown)) == 12


def test_crops_stay_inside_and_reach_every_edge(tmp_path):
    samples = np.zeros((CROP + 3, CROP + 2, 3), dtype=np.uint8)
    samples[..., 0] = np.arange(CROP + 3)[:, None]  # red says the row, green the column
    samples[..., 1] = np.arange(CROP + 2)[None, :]
    path = tmp_path / "positions.png"
    Image.fromarray(samples).save(path)
    random = np.random.default_rng(0)
    corners = set()
    for _ in range(200):
        crop = read_crop(path, CROP, random)
        assert crop.shape == (3, CROP, CROP)
        assert torch.equal(crop[0, :, 0] - crop[0, 0, 0], torch.arange(CROP, dtype=torch.uint8))
        assert torch.equal(crop[1, 0, :] - crop[1, 0, 0], torch.arange(CROP, dtype=torch.uint8))
        corners.add((int(crop[0, 0, 0]), int(crop[1, 0, 0])))
    assert corners == {(top, left) for top in range(4) for left in range(3)}


def test_a_picture_of_the_crops_size_is_taken_whole(tmp_path):
    path = tmp_path / "exact.png"
    Image.new("RGB", (CROP, CROP), (1, 2, 3)).save(path)
    assert read_crop(path, CROP, np.random.default_rng(0)).float().mean(dim=(1, 2)).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("contents", "styles", "world_size", "message"),
    [
        (2, 3, 1, "2 usable content pictures, but an iteration draws 3 different ones"),
        (3, 2, 1, "2 usable style pictures, but an iteration draws 3 different ones"),
        (6, 5, 2, "5 usable style pictures, but an iteration draws 6 different ones"),
    ],
)
def test_too_few_pictures_for_a_batch_are_an_error(contents, styles, world_size, message):
    expected = f"{message} (batch_size / 2, times the devices): add pictures or lower training.batch_size"
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        imaginary(contents, styles, world_size=world_size)


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_a_damaged_prepared_picture_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "broken.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_crop(path, CROP, np.random.default_rng(0))
    assert str(caught.value).startswith(f"prepared picture {path} cannot be read (")
    assert str(caught.value).endswith("); delete its folder to prepare again")


def test_a_truncated_prepared_picture_is_an_error(paths, tmp_path):
    path = tmp_path / "half.jpg"
    data = paths[0][0].read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=re.escape(f"prepared picture {path} cannot be read (")):
        read_crop(path, CROP, np.random.default_rng(0))


def test_a_prepared_picture_smaller_than_the_crop_is_an_error(tmp_path):
    path = tmp_path / "small.png"
    Image.new("RGB", (40, 31)).save(path)
    message = f"prepared picture {path} is 40x31, smaller than training.crop {CROP}; raise prepare.size"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_crop(path, CROP, np.random.default_rng(0))


def test_a_damaged_picture_met_by_a_worker_is_the_same_error(paths, tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"no picture")
    loader = iteration_loader(batches_of(([path] * 3, paths[1])), 0, 2, workers=1, pin_memory=False)
    with pytest.raises(DataError, match=re.escape(f"prepared picture {path} cannot be read (")):
        list(loader)


def test_the_loader_gives_the_same_batches_with_and_without_workers_and_from_any_start(paths):
    def load(start: int, workers: int) -> list[dict[str, torch.Tensor]]:
        return list(iteration_loader(batches_of(paths), start, 7, workers=workers, pin_memory=False))

    alone = load(0, 0)
    assert len(alone) == 7
    assert all(same(a, b) for a, b in zip(alone, load(0, 2), strict=True))
    assert all(same(a, b) for a, b in zip(alone[5:], load(5, 0), strict=True))
    assert all(same(a, b) for a, b in zip(alone[3:], load(3, 2), strict=True))


def test_the_loader_knows_its_length(paths):
    assert len(iteration_loader(batches_of(paths), 3, 10, workers=0, pin_memory=False)) == 7


def test_zoomed_crops_show_up_to_so_many_times_as_much(tmp_path):
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (200, 200, 3))
    path = tmp_path / "ramp.png"
    Image.fromarray(np.ascontiguousarray(ramp)).save(path)
    random = np.random.default_rng(0)
    # Red grows by one a pixel across, so a crop's range of red is how much of the picture it shows.
    spans = [int(crop[0, 0, -1]) - int(crop[0, 0, 0]) for crop in (read_crop(path, CROP, random, zoom=3) for _ in range(300))]
    assert all(CROP - 2 <= span <= 3 * CROP for span in spans)
    assert min(spans) < 1.1 * CROP
    assert max(spans) > 2.7 * CROP
    # Evenly in the logarithm: the median is the geometric mean of both ends.
    assert np.median(spans) == pytest.approx(CROP * 3**0.5, rel=0.1)


def test_a_zoomed_crop_never_reaches_beyond_the_picture(tmp_path):
    path = tmp_path / "small.png"
    Image.new("RGB", (CROP + 5, CROP + 9), (9, 8, 7)).save(path)
    random = np.random.default_rng(0)
    for _ in range(50):
        assert read_crop(path, CROP, random, zoom=4).flatten(1).unique(dim=1).flatten().tolist() == [9, 8, 7]


def test_cached_pictures_are_read_once_and_make_the_same_batches(paths, monkeypatch):
    reads = []
    monkeypatch.setattr("ieast.data.batches.read_image", lambda path: reads.append(path) or read_image(path))
    plain = [batches_of(paths)[i] for i in range(6)]
    assert len(reads) == 6 * 6
    reads.clear()
    cached = batches_of(paths, cache_gb=0.001)
    assert all(same(cached[i], plain[i]) for i in range(6))
    assert len(reads) == len(set(reads))


def test_the_cache_stops_at_its_budget(paths, monkeypatch):
    reads = []
    monkeypatch.setattr("ieast.data.batches.read_image", lambda path: reads.append(path) or read_image(path))
    first, second, third = paths[0][:3]
    cache = PictureCache(sum(3 * image.width * image.height for image in map(read_image, (first, second))))
    for path in (first, second, third, first, second, third):
        assert cache.read(path).size == read_image(path).size
    assert cache.left == 0
    assert reads == [first, second, third, third]
