"""Sheets: tables of pictures with captions, as one picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

CELL, GAP, CAPTION = 184, 4, 22


@dataclass(frozen=True)
class Cell:
    """A picture in a sheet, with a line below it."""

    picture: Image.Image | None
    caption: str = ""


def sheet(rows: Sequence[Sequence[Cell]], cell: int = CELL) -> Image.Image:
    """Rows of cells, each picture cut to its central square and scaled to `cell` pixels."""
    font = ImageFont.load_default(size=14)
    captions = [any(entry.caption for entry in row) for row in rows]
    height = sum(cell + GAP + CAPTION * has for has in captions) + GAP
    page = Image.new("RGB", (max(len(row) for row in rows) * (cell + GAP) + GAP, height), "white")
    draw = ImageDraw.Draw(page)
    top = GAP
    for row, has_caption in zip(rows, captions, strict=True):
        for column, entry in enumerate(row):
            left = GAP + column * (cell + GAP)
            if entry.picture is not None:
                page.paste(_square(entry.picture, cell), (left, top))
            draw.text((left + 2, top + cell + 2), entry.caption, fill="black", font=font)
        top += cell + GAP + CAPTION * has_caption
    return page


def _square(image: Image.Image, side: int) -> Image.Image:
    extent = min(image.size)
    left, top = (image.width - extent) // 2, (image.height - extent) // 2
    return image.resize((side, side), Image.Resampling.LANCZOS, (left, top, left + extent, top + extent))
