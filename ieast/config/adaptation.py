"""How a trained model is adapted to a few artworks."""

from pydantic import Field, PositiveFloat, PositiveInt

from ieast.config.base import Settings


class AdaptationConfig(Settings):
    """What `ieast adapt` can be told; what is trained, and how, stands in `ieast.training.adaptation`."""

    iterations: PositiveInt = 300
    learning_rate: PositiveFloat = Field(2e-3, description="of decoder and transform")
    content_tolerance: float = Field(
        1.1, ge=1, description="how many times as far as before the probes' contents may be; weights from before that are kept"
    )
    check_every: PositiveInt = Field(25, description="iterations between two looks at the probes")
    probes: PositiveInt = Field(4, description="contents that are kept from training to look at")
    size: PositiveInt = Field(512, description="pixels of the smallest side of artworks and contents, if they have more")
    seed: int = Field(0, ge=0, description="of crops, new networks, and contents that are drawn")
