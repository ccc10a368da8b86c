"""What the paper reports (Chen et al. 2021, Tables 1 and 2), by this project's names of methods."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

ARTWORKS = "artworks"
"""The row of real artworks: the table's column WikiArt."""

INPUTS = "inputs"
"""The row of the clips as they are."""


class UserStudy(NamedTuple):
    """A column of Table 1; higher is better.

    Attributes:
        preference: Share of 1000 votes of 50 people that prefer this method's picture; none for real artworks.
        deception: Share of the times that this method's pictures were taken for a human artist's.
    """

    preference: float | None
    deception: float


TABLE_1: Mapping[str, UserStudy] = MappingProxyType(
    {
        ARTWORKS: UserStudy(None, 0.875),
        "gatys": UserStudy(0.143, 0.438),
        "adain": UserStudy(0.118, 0.363),
        "wct": UserStudy(0.099, 0.375),
        "avatar-net": UserStudy(0.087, 0.275),
        "lst": UserStudy(0.125, 0.381),
        "sanet": UserStudy(0.161, 0.394),
        "ieast": UserStudy(0.267, 0.624),
    }
)
"""The user study of section 4.3."""

TABLE_2: Mapping[str, float] = MappingProxyType(
    {
        INPUTS: 0.231,
        "gatys": 0.488,
        "adain": 0.369,
        "wct": 0.460,
        "avatar-net": 0.341,
        "lst": 0.326,
        "sanet": 0.372,
        "ieast": 0.317,
    }
)
"""Mean LPIPS between adjacent stylized frames over 18 clips; lower is steadier."""
