"""What keeps an adaptation from losing contents: fixed pictures looked at now and then, and the best weights kept."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from ieast.evaluation.distances import content_distance, style_distance
from ieast.evaluation.features import Remembering
from ieast.training.module import StyleTransferModule

log = logging.getLogger(__name__)

PATIENCE = 4
"""Looks in succession beyond the bound that end training: contents suffer most in the middle, and recover as rates fall."""
AIM = 0.5
"""Share of what contents may lose that they are held at."""
STIFFNESS, STEP = 4, 1.5
"""Power of how far contents are from that, with which their weight follows at each look, and the most it changes by."""


@dataclass(frozen=True)
class Look:
    """How far the probes were from their styles and contents.

    Attributes:
        iteration: After how many iterations.
        style: `style_distance` by artwork, a mean over its probes.
        content: `content_distance`, a mean over all probes.
    """

    iteration: int
    style: tuple[float, ...]
    content: float

    def style_ratio(self, before: "Look") -> float:
        """How many times as far from the artworks as `before`: the geometric mean over them."""
        logs = [math.log(now / then) for now, then in zip(self.style, before.style, strict=True)]
        return math.exp(sum(logs) / len(logs))


class ContentGuard(Callback):
    """Ends training when contents are lost for good, and leaves the weights that were best before; until then it steers.

    Best are the weights that come nearest to the artworks among those whose content distance is within bounds; the start is
    one of them. Where the generator's weights are averaged, the average is looked at, for it is what is exported.
    """

    def __init__(self, contents: Sequence[Tensor], styles: Sequence[Tensor], tolerance: float, every: int):
        """Watch probes.

        Args:
            contents: Probes, each (1, 3, H, W) in [0, 1].
            styles: The artworks, each (1, 3, H', W').
            tolerance: How many times as large as before the content distance may become.
            every: Iterations between looks.
        """
        count = max(len(contents), len(styles))
        self.pairs = [(contents[k % len(contents)], k % len(styles)) for k in range(count)]
        self.styles, self.tolerance, self.every = styles, tolerance, every
        self.looks: list[Look] = []
        self.best: Look | None = None
        self.lost = False
        self._beyond = 0
        self._kept: dict[str, Tensor] = {}

    def on_train_start(self, _trainer: L.Trainer, module: StyleTransferModule) -> None:
        self._look(module)

    def on_train_batch_end(self, trainer: L.Trainer, module: StyleTransferModule, *_: object) -> None:
        if module.finished % self.every == 0:
            self._look(module)
            trainer.should_stop = self.lost

    def on_train_end(self, _trainer: L.Trainer, module: StyleTransferModule) -> None:
        if self.looks[-1].iteration != module.finished:
            self._look(module)
        module.load_generator(self._kept)

    def _look(self, module: StyleTransferModule) -> None:
        now = module.finished
        with module.averaged():
            look = Look(now, *self._measure(module))
            self.looks.append(look)
            before = self.looks[0]
            within = look.content <= self.tolerance * before.content  # and so not where it is not a number
            self._beyond = 0 if within else self._beyond + 1
            self.lost = self._beyond == PATIENCE
            self._steer(module, look.content / before.content)
            if within and (self.best is None or look.style_ratio(before) < self.best.style_ratio(before)):
                self.best = look
                self._kept = module.generator_state()
        log.info(
            "iteration %d: style distance %.2f and content distance %.2f of what they were",
            now,
            look.style_ratio(before),
            look.content / before.content,
        )

    def _steer(self, module: StyleTransferModule, ratio: float) -> None:
        """Let contents weigh more the further they go, and less while there is room: artworks differ in what they cost."""
        aim = 1 + AIM * (self.tolerance - 1)
        weights = module.objective.weights
        if math.isfinite(ratio):
            weights["content"] *= min(STEP, max(1 / STEP, (ratio / aim) ** STIFFNESS))

    @torch.inference_mode()
    def _measure(self, module: StyleTransferModule) -> tuple[tuple[float, ...], float]:
        stylizer = module.stylizer
        of_style: list[list[float]] = [[] for _ in self.styles]
        of_content = []
        for content, number in self.pairs:
            style = self.styles[number]
            seen = Remembering(stylizer.encoder)
            stylized = stylizer.stylize(content, style)
            of_style[number].append(float(style_distance(seen, stylized, style)))
            of_content.append(float(content_distance(seen, stylized, content)))
        return tuple(sum(values) / len(values) for values in of_style), sum(of_content) / len(of_content)
