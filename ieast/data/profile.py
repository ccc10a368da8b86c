"""What the pictures of a dataset are like on the whole, so that a new version can be compared with an earlier one."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from ieast.data.pictures import SIDES
from ieast.data.prepare import PreparedDataset
from ieast.io.files import evenly
from ieast.io.images import read_image, resize_smallest_side, to_tensor
from ieast.layers.statistics import mean_std
from ieast.models.encoder import Encoder
from ieast.models.vgg19 import STYLE_TAPS
from ieast.stylizer.tiling import encode

log = logging.getLogger(__name__)

LOOKED_AT = 200
"""Pictures of each side, evenly spread."""
SIZE = 256
"""Pixels of the smallest side at which they are looked at."""
COUNT = "pictures"
FACTS = ["side", "fact", "mean", "deviation", "encoder"]
"""Columns of a profile."""
CHANGES = ["side", "fact", "before", "now", "shift"]
"""Columns of what has changed."""


@torch.inference_mode()
def profile_dataset(prepared: PreparedDataset, encoder: Encoder) -> pd.DataFrame:
    """Counts, sizes, palettes and statistics of features of both sides.

    Args:
        prepared: The pictures.
        encoder: Whose features; those of different encoders cannot be compared.

    Returns:
        A row a side and fact: `side`, `fact`, `mean` and `deviation` over pictures. `pictures` is their number; `smallest side`
        is in pixels of the sources; lightness, its deviation within a picture (contrast), a, b and colourfulness are CIELAB's;
        a tap's name stands for the deviation of its channels over positions, averaged over channels, and has name and digest
        of the `encoder`.
    """
    by = dict.fromkeys(STYLE_TAPS, f"{encoder.name} {encoder.digest()}")
    tables = []
    for side in SIDES:
        sides = prepared.source_sides(side)
        rows = [_facts(path, encoder) | {"smallest side": sides[path]} for path in evenly(list(sides), LOOKED_AT)]
        facts = pd.DataFrame(rows).agg(["mean", "std"]).T.set_axis(["mean", "deviation"], axis=1)
        facts.loc[COUNT] = [len(sides), np.nan]
        facts = facts.rename_axis("fact").reset_index()
        tables.append(facts.assign(side=side, encoder=facts["fact"].map(by)))
    return pd.concat(tables, ignore_index=True)[FACTS]


def compare_profiles(now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """How far each fact has moved.

    Args:
        now: As `profile_dataset` gives it.
        before: The same of an earlier version; early ones do not name their encoder, which is then taken to be that of `now`.

    Returns:
        A row a side and fact: `side`, `fact`, `before`, `now`, and `shift`, the distance of the means in deviations of the
        earlier version's pictures; of the number of pictures none. Features by different encoders have no row.
    """
    now, before = (each.reindex(columns=FACTS) for each in (now, before))
    both = now.merge(before, on=["side", "fact"], suffixes=("_now", "_before"), validate="one_to_one")
    both = _without_foreign(both)
    spread = both["deviation_before"].where(both["deviation_before"] > 0, np.nan)
    both["shift"] = (both["mean_now"] - both["mean_before"]) / spread
    moved = both["shift"].isna() & (both["fact"] != COUNT) & (both["mean_now"] != both["mean_before"])
    both.loc[moved, "shift"] = np.inf  # pictures that were all alike in something, and are not as they were
    return both.rename(columns={"mean_before": "before", "mean_now": "now"})[CHANGES]


def _without_foreign(both: pd.DataFrame) -> pd.DataFrame:
    """`both` profiles without the features that different encoders gave."""
    known = both["encoder_now"].notna() & both["encoder_before"].notna()
    foreign = known & (both["encoder_now"] != both["encoder_before"])
    if foreign.any():
        first = both[foreign].iloc[0]
        log.warning(
            "features are not compared: the earlier profile's are by the encoder %s, this one's by %s",
            first["encoder_before"],
            first["encoder_now"],
        )
    return both[~foreign].reset_index(drop=True)


def _facts(path: Path, encoder: Encoder) -> dict[str, float]:
    image = resize_smallest_side(read_image(path, smallest_side=SIZE), SIZE)
    lightness, a, b = cv2.split(cv2.cvtColor(np.asarray(image, dtype=np.float32) / 255, cv2.COLOR_RGB2LAB))
    taps = encode(encoder, to_tensor(image), 1, "auto", STYLE_TAPS)
    facts = {
        "lightness": lightness.mean(),
        "contrast": lightness.std(),
        "a": a.mean(),
        "b": b.mean(),
        "colourfulness": np.hypot(a, b).mean(),
        **{tap: mean_std(taps[tap])[1].mean() for tap in STYLE_TAPS},
    }
    return {name: float(value) for name, value in facts.items()}
