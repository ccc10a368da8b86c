"""What experiments begin with: the paper's settings, the released code's, or those of the small models that are shipped.

The defaults of `ieast.config` are the preset `paper`; what a method's publication sets otherwise stands with the method.
"""

from typing import Any, Literal

from ieast.config import merge
from ieast.stylizer.base import Stylizer

Preset = Literal["paper", "official", "compact"]

# The released code departs from the paper here. Each entry replaces the default in `ieast.config`.
OFFICIAL: dict[str, Any] = {
    "prepare": {"resize": "square"},  # 512 x 512, which distorts the aspect; the paper keeps it
    "model": {
        "style_head": (128, 128),  # the paper prints 256 units, then 128
        "content_head": (256, 128),  # the paper prints 128 units, then 128
    },
    "objective": {
        "distance": "mse",  # Eq. 1, 3 and 4 print an L2 norm
        "content_layers": "normalised-relu4_1-relu5_1",  # Eq. 3 prints conv4_2
        "adversarial": "least-squares",  # Eq. 2 prints the log form
        "contrastive_reduction": "sum",  # Eq. 5 and 6 are for one anchor; the paper does not say how anchors add up
    },
    "training": {"batch_size": 12, "learning_rate_decay": 5e-5},  # the paper: 16 and a constant rate
}

# A quarter of the width on the shipped encoder: hours on two CPU cores, minutes on a GPU. With `official`, and over what the
# method's publication says, so that methods which are compared learn from the same pictures for as long. What each departure
# brought stands in the model card, ieast/pretrained/README.md.
COMPACT: dict[str, Any] = {
    "prepare": {
        "resize": "smallest-side",  # the aspect is kept, as in the paper
        "enlarge": False,  # a model paints the blur of enlarged pictures
        "min_side": 256,
        "held_out": 0.1,
    },
    "encoder": {"name": "vgg19-compact"},
    "objective": {"unit": "picture"},  # else high-contrast prints drown all other styles
    "training": {
        "iterations": 3000,
        "reconstruction_iterations": 1500,
        "optimizer": "soap",  # Adam gets much less far in as many iterations
        "batch_size": 6,  # the least that falls into pairs
        "crop": 128,  # and not shrunk: shrunk pictures are noisier than those that people stylize
        "reconstruction_learning_rate": 3e-3,
        "learning_rate": 1e-3,
        "learning_rate_decay": 0,
        "anneal": 0.5,  # what high rates leave in the weights is seen as speckle
        "ema_decay": 0.99,
        "gradient_clip": 10,
        "precision": "auto",  # bf16-mixed, but many CPUs are slower in it, some a hundred times
        "loader_workers": 0,  # pictures are decoded once and kept, so that there is little to load
        "cache_gb": 2,
        "picture_every": 500,
        "checkpoint_every": 250,
    },
    "evaluation": {"perceptual_distance": "encoder-taps"},  # lpips-alex where its weights are at hand
}

# The two methods with style attention are tuned for so few iterations.
COMPACT_ATTENTION: dict[str, Any] = {
    "model": {
        "attention_start": "adain",
        # Else the content's palette and contrast come through, and under drawings in ink its strong colours tint.
        "options": {"match_statistics": True, "bound_palette": True},
    },
    "objective": {
        "contrastive_reduction": "mean",
        "gradient_penalty": 2,
        "weights": {"style": 3, "adversarial": 1, "identity_taps": 0.5, "bands": 3},
    },
    "training": {"discriminator_learning_rate": 4e-4, "gradient_penalty_every": 8, "identity_every": 2},
}


def defaults(preset: str, method: type[Stylizer]) -> dict[str, Any]:
    """What `preset` and the publication of `method` set otherwise than the defaults of `ieast.config`."""
    values = merge(OFFICIAL if preset in ("official", "compact") else {}, method.recipe)
    if preset != "compact":
        return values
    values = merge(values, COMPACT)
    if method.has_attention:
        values = merge(values, COMPACT_ATTENTION)
    if method.learns != "stylization" or not method.reconstructs:  # there is no stage of reconstruction before it
        values = merge(values, {"training": {"reconstruction_iterations": 0}})
    return values
