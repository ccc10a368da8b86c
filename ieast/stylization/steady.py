"""Frames of a clip stylized so that what stands still in the world stands still in the picture.

A model that stylizes frame by frame paints every frame anew, and its strokes flicker. Here each frame is carried over from
what was shown before, along the optical flow of the original frames, as far as that can be trusted, and painted anew only
elsewhere. Carrying over the frame before again and again, as Ruder et al. do (Artistic Style Transfer for Videos, GCPR 2016,
https://arxiv.org/abs/1604.08610), samples a picture between its pixels at every frame, and fine strokes do not survive that.
So there is a key frame, to which flow leads from the present frame directly: its picture is sampled once, however many
frames lie between. The frame before fills what the key frame does not show, and the model's own picture what neither does.
When little of the key frame is left, or it is old, the picture of the present frame becomes the next one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ieast.stylization.motion import grey_of, grid, optical_flow, pull, trusted

_KEY_SHARE = 0.7
"""Of the picture; with less of the key frame left, the next one is taken."""
_KEY_AGE = 20
"""Frames after which the next key frame is taken: surfaces that turn, or come nearer, are to get strokes that fit."""
_CUT = 0.1
"""Of the picture; with less carried over from the frame before, there was a cut. Within ten clips at least 0.7 are, and at
most 0.01 between frames of two of them (docs/video.md)."""
_STRONGEST = 2.0
"""Most that detail which sampling has lost is amplified."""
_COARSE = 4
"""Pixels a cell, of what is coarse."""
_TONE_SIGMA = 3.0
"""Cells; the deviation of the blur that tells tone from strokes."""
_TONE_RATE = 0.15
"""A frame; how fast the tone of what is carried over follows the model's."""


@dataclass
class _Shown:
    """A frame, and what it became."""

    original: NDArray[np.uint8]
    """RGB (H, W, 3)."""
    picture: NDArray[np.float32]
    """(H, W, 3), 0 to 255; not rounded, or what lies below half a level would stay for ever."""


class Steady:
    """Stylizes the frames of a clip one after another; holds two of them."""

    def __init__(self, stylize: Callable[[Image.Image], Image.Image]):
        """Begin a clip.

        Args:
            stylize: Maps an RGB picture to one of the same size.
        """
        self._stylize = stylize
        self._before: _Shown | None = None
        self._key: _Shown | None = None
        self._to_key = self._from_key = np.zeros((0, 0, 2), np.float32)
        self._age = 0
        self._tone = np.zeros((0, 0, 3), np.float32)
        self._positions = self._to_key

    def __call__(self, frame: Image.Image) -> Image.Image:
        """The next frame, RGB, stylized. Where it has another size than the one before, a new clip begins."""
        original = np.asarray(frame.convert("RGB"))
        fresh = np.asarray(self._stylize(frame).convert("RGB"), np.float32)
        if fresh.shape != original.shape:
            raise ValueError(f"the stylized frame has the shape {fresh.shape}, but the frame has {original.shape}")
        before = self._before
        if before is None or before.original.shape != original.shape:
            picture = self._restart(original, fresh)
        else:
            picture = self._continue(original, fresh, before)
        return Image.fromarray(np.rint(picture).astype(np.uint8))

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the frames to come depend on, by name; empty before the first."""
        if self._before is None or self._key is None:
            return {}
        return {
            "before_original": self._before.original,
            "before_picture": self._before.picture,
            "key_original": self._key.original,
            "key_picture": self._key.picture,
            "to_key": self._to_key,
            "from_key": self._from_key,
            "age": np.asarray(self._age),
            "tone": self._tone,
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state` gave."""
        if not state:
            self._before = self._key = None
            return
        self._before = _Shown(state["before_original"], state["before_picture"])
        self._key = _Shown(state["key_original"], state["key_picture"])
        self._to_key, self._from_key, self._age = state["to_key"], state["from_key"], int(state["age"])
        self._tone = state["tone"]
        self._positions = grid(*self._to_key.shape[:2])

    def _restart(self, original: NDArray[np.uint8], fresh: NDArray[np.float32]) -> NDArray[np.float32]:
        self._positions = grid(*original.shape[:2])
        self._before = _Shown(original, fresh)
        self._tone = np.zeros((*(-(-side // _COARSE) for side in fresh.shape[:2]), 3), np.float32)
        self._take_as_key(self._before)
        return fresh

    def _take_as_key(self, shown: _Shown) -> None:
        self._key, self._age = shown, 0
        self._to_key = self._from_key = np.zeros((*shown.original.shape[:2], 2), np.float32)

    def _continue(self, original: NDArray[np.uint8], fresh: NDArray[np.float32], before: _Shown) -> NDArray[np.float32]:
        assert self._key is not None
        positions = self._positions
        grey, grey_before, grey_key = (grey_of(picture) for picture in (original, before.original, self._key.original))
        to_before = optical_flow(grey, grey_before, fast=True)
        from_before = optical_flow(grey_before, grey, fast=True)
        trust = trusted(to_before, from_before, original, before.original, positions)
        if trust.mean() < _CUT:
            return self._restart(original, fresh)
        carried = trust[..., None] * pull(before.picture, to_before, positions, cv2.INTER_LANCZOS4)
        share = trust
        # The way to the key frame is the one to the frame before, and on from there: near enough for DIS to find the rest.
        to_key, from_key = (
            to_before + pull(self._to_key, to_before, positions),
            self._from_key + pull(from_before, self._from_key, positions),
        )
        self._to_key = optical_flow(grey, grey_key, to_key)
        self._from_key = optical_flow(grey_key, grey, from_key)
        trust = trusted(self._to_key, self._from_key, original, self._key.original, positions)
        carried += trust[..., None] * (pull(self._key.picture, self._to_key, positions, cv2.INTER_CUBIC) - carried)
        share = trust + (1 - trust) * share
        picture = carried + (1 - share[..., None]) * (fresh - self._follow_tone(fresh, carried, share, to_before))
        picture = _with_detail_of(fresh, picture)
        self._before = _Shown(original, picture)
        self._age += 1
        if self._age >= _KEY_AGE or trust.mean() < _KEY_SHARE:
            self._take_as_key(self._before)
        height, width = original.shape[:2]
        return (picture + _resized(self._tone, (width, height))).clip(0, 255)

    def _follow_tone(
        self,
        fresh: NDArray[np.float32],
        carried: NDArray[np.float32],
        share: NDArray[np.float32],
        to_before: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Let the tone follow the model's; returns what is to be taken off `fresh` for it to fit to what is carried over.

        The tone is what is added to all that is shown: it approaches how much `fresh` differs from what is carried over, where
        that is, without what is fine. So neither old parts of the picture keep the tone that they were painted in, nor do
        new ones show a seam beside them.

        Args:
            fresh: The model's picture (H, W, 3).
            carried: What is carried over, times `share`.
            share: (H, W) in [0, 1].
            to_before: Flow to the frame before.
        """
        height, width = self._tone.shape[:2]
        tone = pull(self._tone, _resized(to_before, (width, height)) / np.float32(_COARSE), grid(height, width))
        difference = _resized(share[..., None] * fresh - carried, (width, height))
        weight = _blurred(_resized(share, (width, height)))[..., None]
        apart = _blurred(difference) / (weight + np.float32(1e-3))
        self._tone = np.asarray(tone + _TONE_RATE * weight * (apart - tone), np.float32)
        taken_off = apart * weight + self._tone * (1 - weight)
        return _resized(taken_off, (fresh.shape[1], fresh.shape[0]))


def _blurred(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(cells, (0, 0), _TONE_SIGMA), np.float32)


def _resized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """`values` (H, W, ...) in another size, which is given as width and height: means where that is smaller, else linear."""
    smaller = size[0] < values.shape[1]
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR), np.float32)


def _with_detail_of(fresh: NDArray[np.float32], picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """`picture` with its finest detail as strong, within some 36 pixels, as that of `fresh`: sampling has weakened it."""
    height, width = picture.shape[:2]
    cells = (-(-width // _COARSE), -(-height // _COARSE))

    def fine(of: NDArray[np.float32]) -> NDArray[np.float32]:
        return of - cv2.GaussianBlur(of, (0, 0), 1)

    def power(detail: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(_resized(np.square(detail), cells).sum(axis=-1), (9, 9)), np.float32) + 1

    detail = fine(picture)
    factors = np.sqrt(power(fine(fresh)) / power(detail)).clip(1 / _STRONGEST, _STRONGEST)
    return picture + (_resized(factors, (width, height))[..., None] - 1) * detail
