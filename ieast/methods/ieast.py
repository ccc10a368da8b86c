"""This paper's method: SANet's generator, external learning and contrastive learning.

"Artistic Style Transfer with Internal-external Learning and Contrastive Learning", NeurIPS 2021.
"""

from ieast.methods.sanet import Sanet


class Ieast(Sanet):
    """Trained by Eq. 7 with all its terms, which is what the defaults of `ieast.config` say."""

    name = "ieast"
    recipe = {}


METHOD = Ieast
