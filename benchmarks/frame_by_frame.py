"""How steady models are by themselves, each frame stylized alone: tables of docs/video.md.

python -m benchmarks.frame_by_frame CLIP... --style STYLE... --model NAME=MODEL... [--frames N] [--size PIXELS] [--gatys N]

Rows are means over all clips in all styles.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image
from torch import Tensor

from benchmarks.steady import INTERVALS, Scores, score
from ieast.checkpoint import load_model
from ieast.cli.models import model_folder
from ieast.config import EncoderConfig, StylizeOptions
from ieast.evaluation.flow import optical_flow, visible, warp
from ieast.evaluation.perceptual import perceptual_distance
from ieast.io.images import read_image, resize_smallest_side, to_image, to_tensor
from ieast.io.listing import list_frames
from ieast.io.video import read_video_frames
from ieast.methods.gatys import Gatys, Grams
from ieast.models.encoder import Encoder
from ieast.models.encoder_weights import build_encoder
from ieast.stylization.inputs import read_style
from ieast.stylization.session import StyleSession
from ieast.stylizer.base import Stylizer

Way = Callable[[Sequence[Image.Image], Image.Image], list[Image.Image]]
"""Makes of frames and a style the frames that are shown."""


class Ruder(Gatys):
    """Gatys, begun at the frame before moved along the flow, and held there where the flow can be trusted.

    Ruder et al., Artistic Style Transfer for Videos (GCPR 2016, https://arxiv.org/abs/1604.08610), with the short-term term
    alone (Eq. 7), and one pass over the clip.
    """

    held = 200.0
    """Weight of the term, of a mean over pixels in [0, 1]: flicker as Gatys' then costs about as much as contents do."""

    def __init__(self, encoder: Encoder, options: Gatys.Options):
        super().__init__(encoder, options)
        self.before: tuple[Tensor, Tensor] | None = None
        """The frame before, and as it was shown: each (3, H, W)."""
        self.moved = self.trusted = torch.zeros(())

    def follow(self, frame: Tensor) -> None:
        """Take up where the frame before is seen in `frame` (3, H, W); nowhere, at the first."""
        if self.before is None:
            self.moved, self.trusted = frame[None], torch.zeros(1, 1, *frame.shape[1:])
            return
        back, forth = optical_flow(frame, self.before[0]), optical_flow(self.before[0], frame)
        self.moved, self.trusted = warp(self.before[1], back)[None], visible(back, forth)[None, None].float()

    def _start(self, content: Tensor) -> Tensor:
        return self.trusted * self.moved + (1 - self.trusted) * content

    def loss(self, picture: Tensor, target: Tensor, grams: Grams) -> Tensor:
        """Gatys', and how far `picture` is from the frame before where that is seen."""
        held = (self.trusted * (picture - self.moved).square()).mean()
        return super().loss(picture, target, grams) + self.held * held


def by_model(stylizer: Stylizer, noise: float = 0) -> Way:
    """Each frame by itself."""

    def shown(frames: Sequence[Image.Image], style: Image.Image) -> list[Image.Image]:
        session = StyleSession(stylizer, [style], StylizeOptions(content_noise=noise), encode=True)
        return [session.stylize(frame) for frame in frames]

    return shown


def by_ruder(encoder: Encoder, options: Gatys.Options) -> Way:
    """Each frame from the one before."""

    def shown(frames: Sequence[Image.Image], style: Image.Image) -> list[Image.Image]:
        ruder, pictures = Ruder(encoder, options), []
        encoded = ruder.encode_style(to_tensor(style))
        for frame in frames:
            content = to_tensor(frame)
            ruder.follow(content[0])
            pictures.append(ruder.stylize(content, encoded))
            ruder.before = content[0], pictures[-1][0]
        return [to_image(picture) for picture in pictures]

    return shown


COLUMNS = ("", *(f"warping error, {k}" for k in INTERVALS), "temporal LPIPS", "style distance", "content LPIPS", "detail")


def cells(name: str, scores: Sequence[Scores]) -> list[str]:
    """A row of means."""
    means = [float(np.mean([each.warping[k] for each in scores])) for k in INTERVALS]
    row = [name, *(f"{value:.4f}" for value in means), f"{np.mean([each.temporal for each in scores]):.4f}"]
    for of in ("style", "content", "detail"):
        value = float(np.mean([getattr(each, of) for each in scores]))
        row.append("" if np.isnan(value) else f"{value:.3f}")
    return row


def main(
    clips: Annotated[list[Path], typer.Argument(help="Folders of frames, or video files.")],
    style: Annotated[list[Path], typer.Option(help="Artworks.")],
    model: Annotated[list[str] | None, typer.Option(help="NAME=MODEL, with MODEL as `ieast stylize` takes it.")] = None,
    frames: Annotated[int, typer.Option(min=12, help="The most that are taken of a clip.")] = 48,
    size: Annotated[int | None, typer.Option(min=16, help="Smallest side of frames, in pixels; as they are without.")] = None,
    gatys: Annotated[int, typer.Option(min=0, help="Also Gatys, with so many evaluations a frame, and as Ruder et al.")] = 0,
    content_noise: Annotated[float, typer.Option(help="As of `ieast stylize`, for the models.")] = 0,
    distance: Annotated[str, typer.Option(help="As evaluation.perceptual_distance takes it.")] = "lpips-squeeze",
) -> None:
    """Print the table, a row as soon as it is measured."""
    encoder = build_encoder(EncoderConfig(name="vgg19-compact"))
    perceptual = perceptual_distance(distance, encoder)
    ways: dict[str, Way] = {}
    for entry in model or ():
        name, _, reference = entry.partition("=")
        ways[name] = by_model(load_model(model_folder(reference))[0], content_noise)
    if gatys:
        options = Gatys.Options(iterations=gatys)
        ways |= {"Gatys": by_model(Gatys(encoder, options)), "Gatys, as Ruder et al.": by_ruder(encoder, options)}
    shots = [[_sized(frame, size) for frame in _frames(clip)[:frames]] for clip in clips]
    styles = [read_style(path, StylizeOptions().style_size) for path in style]
    for line in (COLUMNS, ["---"] * len(COLUMNS), cells("the clips", [score(s, s, None, encoder, perceptual) for s in shots])):
        _say(line)
    for name, way in ways.items():
        scores = [score(s, way(s, picture), to_tensor(picture), encoder, perceptual) for s in shots for picture in styles]
        _say(cells(name, scores))


def _frames(clip: Path) -> list[Image.Image]:
    return [read_image(path) for path in list_frames(clip)] if clip.is_dir() else list(read_video_frames(clip))


def _sized(frame: Image.Image, size: int | None) -> Image.Image:
    return frame if size is None else resize_smallest_side(frame, size)


def _say(row: Sequence[str]) -> None:
    typer.echo(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    typer.run(main)
