"""Which content meets which style in a batch, and who is positive and negative to whom (paper, section 3.2)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PairBatch:
    """b stylizations of b/2 distinct contents and b/2 distinct styles, by index.

    Picture k shows content `content[k]` in style `style[k]`: the styles twice in order, and the contents once in order and once
    moved on by one. So every picture has exactly one partner with its style and one with its content.
    """

    content: Tensor  # (b,)
    style: Tensor  # (b,)

    @classmethod
    def of(cls, distinct: int, device: torch.device | str = "cpu") -> "PairBatch":
        """The batch over `distinct` = b/2 contents and styles.

        Raises:
            ValueError: Fewer than 3, where some anchors would have no negatives.
        """
        if distinct < 3:
            raise ValueError(f"a pair batch needs at least 3 distinct contents and styles, got {distinct}")
        order = torch.arange(distinct, device=device)
        return cls(content=torch.cat([order, order.roll(-1)]), style=torch.cat([order, order]))

    @property
    def same_style(self) -> Tensor:
        """(b, b) bool: row a marks the style positive of anchor a, s_i c_x with x ≠ j."""
        return _equal(self.style) & ~_equal(self.content)

    @property
    def same_content(self) -> Tensor:
        """(b, b) bool: row a marks the content positive of anchor a, s_y c_j with y ≠ i."""
        return _equal(self.content) & ~_equal(self.style)

    @property
    def negatives(self) -> Tensor:
        """(b, b) bool: s_m c_n with m ≠ i and n ≠ j, in both losses; a partner in one factor is in neither set."""
        return ~_equal(self.style) & ~_equal(self.content)


def _equal(index: Tensor) -> Tensor:
    return index[:, None] == index[None, :]
