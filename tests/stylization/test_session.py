import numpy as np
import pytest
from PIL import Image

from ieast.checkpoint import load_model
from ieast.data.sample.artworks import draw_artwork
from ieast.data.sample.photographs import draw_photograph
from ieast.models.pretrained import MODELS
from ieast.stylization.session import StyleSession, StylizeOptions


@pytest.mark.parametrize("encode", [False, True])
@pytest.mark.parametrize("options", [{}, {"alpha": 0.5, "preserve_colour": "luminance"}], ids=str)
def test_bf16_gives_nearly_the_same_picture(options, encode):
    stylizer, _ = load_model(MODELS["ieast"])
    content = Image.fromarray(draw_photograph(5, seed=0)).resize((160, 128))
    style = Image.fromarray(draw_artwork(0, seed=0)).resize((128, 128))
    exact, fast = (
        np.asarray(
            StyleSession(stylizer, [style], StylizeOptions(precision=precision, **options), encode=encode).stylize(content),
            dtype=int,
        )
        for precision in ("fp32", "bf16")
    )
    difference = np.abs(exact - fast)
    assert 0 < difference.mean() < 3  # of 255 levels; 0 would say that bf16 was not used
