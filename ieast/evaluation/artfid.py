"""ArtFID of Wright & Ommer, ArtFID: Quantitative Evaluation of Neural Style Transfer (GCPR 2022, https://arxiv.org/abs/2207.12280).

(1 + mean LPIPS of stylized pictures to contents) (1 + FID between stylized pictures and styles), the FID on the 2048 pooled
features of an Inception-v3 that its authors trained on artworks. It falls with the number of pictures, so only values over
the same number compare, and published ones are over tens of thousands.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import Inception3

from ieast.errors import WeightsError
from ieast.io.weights import read_weights

# Two classifiers, of artists and of styles, stand on the published trunk; pooled features do not need them.
_CLASSIFIERS = ("fc1.", "fc2.", "AuxLogits1.", "AuxLogits2.")
_SOURCE = "https://huggingface.co/matthias-wright/art_inception/resolve/main/art_inception.pth"


def load_art_inception(path: Path) -> nn.Module:
    """The published network up to its pooled features: pictures (B, 3, H, W) in [0, 1], 75 pixels a side or more, to (B, 2048).

    Raises:
        WeightsError: There is no such file, or it holds something else.
    """
    if not path.is_file():
        raise WeightsError(
            f"ArtFID needs the file that evaluation.artfid_weights names, and there is none at {path}. It can be had from "
            f"{_SOURCE}; leave the setting out to do without ArtFID"
        )
    state = {name: value for name, value in read_weights(path).items() if not name.startswith(_CLASSIFIERS)}
    network = Inception3(aux_logits=False, init_weights=False)
    network.fc = nn.Identity()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(
            f"{path} does not hold ArtFID's network (art_inception.pth): {str(error).splitlines()[1].strip()}"
        ) from error
    return network.eval().requires_grad_(False)


class ArtFid:
    """ArtFID over pictures given one by one."""

    def __init__(self, network: nn.Module):
        """`network` as `load_art_inception` returns it."""
        self._network = network
        self._stylized: list[Tensor] = []
        self._styles: list[Tensor] = []
        self._lpips: list[float] = []

    @torch.inference_mode()
    def add(self, stylized: Tensor, style: Tensor, lpips: float) -> None:
        """Take a stylized picture and its style, each (1, 3, H, W) in [0, 1], and its LPIPS to the content."""
        self._stylized.append(self._network(stylized)[0].cpu())
        self._styles.append(self._network(style)[0].cpu())
        self._lpips.append(lpips)

    def value(self) -> float:
        """ArtFID of all that was given; NaN for fewer than two pictures, which have no covariance."""
        if len(self._lpips) < 2:
            return float("nan")
        stylized, styles = (torch.stack(side).double().numpy() for side in (self._stylized, self._styles))
        return (1 + float(np.mean(self._lpips))) * (1 + frechet_distance(stylized, styles))


def frechet_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Fréchet distance of the normal distributions with the means and covariances of `a` (N, D) and `b` (M, D).

    ||μ_a - μ_b||² + Tr Σ_a + Tr Σ_b - 2 Tr (Σ_a Σ_b)^½ (Heusel et al. 2017, https://arxiv.org/abs/1706.08500). With Σ_a = AᵀA
    and Σ_b = BᵀB, where A and B are the centred rows over √(N - 1) and √(M - 1), the last trace is the sum of the singular
    values of A Bᵀ: N x M where the covariances are D x D, and well defined where these are singular, as for fewer rows than D.
    """
    means = [rows.mean(axis=0) for rows in (a, b)]
    centred = [(rows - mean) / np.sqrt(len(rows) - 1) for rows, mean in zip((a, b), means, strict=True)]
    traces = sum(float(np.square(rows).sum()) for rows in centred)
    shared = float(np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum())
    return float(np.square(means[0] - means[1]).sum()) + traces - 2 * shared
