import pandas as pd
from helpers.datasets import draw_dataset, draw_picture

from ieast.config import ShowcaseConfig
from ieast.data.prepare import prepare_dataset
from ieast.evaluation.showcase import showcase_pairs, write_originals
from ieast.io.images import read_image


def test_pictures_of_one_name_in_two_folders_are_told_apart_and_others_keep_their_names(tmp_path, make_config):
    source = draw_dataset(tmp_path / "source", 2, 2)
    for seed, place in enumerate(("content/sea", "content/land", "style/sea", "style/land")):
        (source / place).mkdir()
        draw_picture(seed, 90, 70).save(source / place / "same.png")
    prepared = prepare_dataset(source, tmp_path / "work", make_config().prepare, "of one name")
    config = ShowcaseConfig(contents=99, styles=99, artworks=0, size=48)
    pairs = showcase_pairs(prepared, config)
    assert pairs.equals(showcase_pairs(prepared, config))
    write_originals(pairs, prepared, config, tmp_path / "benchmark")
    assert len(pd.read_csv(tmp_path / "benchmark" / "pairs.csv").drop_duplicates(["content", "style"])) == len(pairs) == 16
    for side in ("content", "style"):
        named = pairs[[side, f"{side}_path"]].drop_duplicates()
        assert [name.startswith("same") for name in named[side]] == [False, False, True, True]
        shown = {path.stem: read_image(path).tobytes() for path in (tmp_path / "benchmark" / f"{side}s").iterdir()}
        assert set(shown) == set(named[side])
        assert len(set(shown.values())) == 4
