"""The optimizers training can choose from."""

from typing import Any

from pytorch_optimizer import SOAP
from torch.optim import Adam, Optimizer

from ieast.config import OptimizerName


def make_optimizer(groups: list[dict[str, Any]], name: OptimizerName, *, fused: bool = False) -> Optimizer:
    """Adam as in the paper, or SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, arXiv 2409.11321).

    A decoder that inverts an encoder is badly conditioned, and SOAP gets several times further in as many iterations.
    """
    if name == "soap":
        return SOAP(groups, betas=(0.95, 0.95), weight_decay=0.0)
    return Adam(groups, fused=fused)
