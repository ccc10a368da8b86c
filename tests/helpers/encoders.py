"""Encoders with drawn weights, and pictures of noise for them."""

import torch

from ieast.models.encoder import Encoder
from ieast.models.vgg19 import STYLE_TAPS
from reference import plain as reference

COMPACT = (16, 32, 64, 128, 128)
FULL = (64, 128, 256, 512, 512)
WITH_CONTENT = (*STYLE_TAPS, "conv4_2")


def make_compact(seed=0):
    return reference.draw(Encoder("vgg19-compact"), seed).eval()


def draw_pictures(height=32, width=40, batch=2, seed=0):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))
