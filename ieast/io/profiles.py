"""Colours as a file's ICC profile means them, by LittleCMS."""

import io

import numpy as np
from PIL import Image, ImageCms

_SPACES = {"L": "GRAY", "I;16": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""The colour space that a profile must describe to be applied to a Pillow mode."""

_PROBE_SIDE = 17


def to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """`image` as 8-bit sRGB.

    What a profile means is decided by what it does to colours and never by its name. One that does nothing, by more than a
    level, is not applied, so that pictures in sRGB stay as they are to the bit; one that is broken or describes another kind of
    samples says nothing about these, and viewers ignore it, too.

    Args:
        image: In mode L, I;16, RGB, CMYK or LAB.
        icc_profile: Of its samples, if there is one.

    Returns:
        A picture in mode RGB.
    """
    if image.mode == "LAB":
        return _transform(ImageCms.createProfile("LAB"), "LAB").apply(image)
    if icc_profile:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
            space = profile.profile.xcolor_space.strip()
            if space == "RGB" and image.mode == "L":
                image = image.convert("RGB")  # equal parts of that red, green and blue
            if space == _SPACES[image.mode]:
                transform = _transform(profile, image.mode)
                if image.mode == "CMYK" or _changes(transform, image.mode):
                    return transform.apply(image)
        except (ImageCms.PyCMSError, OSError):
            pass
    return eight_bits(np.asarray(image)).convert("RGB") if image.mode == "I;16" else image.convert("RGB")


def eight_bits(samples: np.ndarray) -> Image.Image:
    """Samples from 0 to 65535 as a picture in mode L."""
    return Image.fromarray(((samples.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _transform(profile: ImageCms.ImageCmsProfile | ImageCms.core.CmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    # LittleCMS's shortcut for grey has too few steps: wrong by ten levels in the shadows of a linear profile.
    flags = ImageCms.Flags.NOOPTIMIZE if mode in ("L", "I;16") else ImageCms.Flags.NONE
    return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB", flags=flags)


def _changes(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether `transform` does more to samples than rounding."""
    if mode == "RGB":
        levels = np.linspace(0, 255, _PROBE_SIDE).round().astype(np.uint8)
        probe = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(_PROBE_SIDE, -1, 3)
        before = probe.astype(int)
    else:
        levels = np.arange(256, dtype=np.uint8)[None]
        probe = levels if mode == "L" else levels.astype("<u2") * 257
        before = levels.astype(int)[..., None]
    after = np.asarray(transform.apply(Image.fromarray(probe))).astype(int)
    return bool(np.abs(after - before).max() > 1)
