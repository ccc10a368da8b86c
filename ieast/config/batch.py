"""A batch of stylizations: which contents in which styles, by which model, and where the results go."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from ieast.config.base import Document, Settings
from ieast.config.sections import DataConfig
from ieast.config.stylization import MIN_STYLE_SIZE, MOST_NOISE, Precision, PreserveColour, StylizeOptions
from ieast.errors import ConfigError


class StylizeSettings(Settings):
    """What is done to each content; results with the same settings are made once."""

    alpha: float = Field(1.0, ge=0, le=1, description="0 keeps the content, 1 stylizes fully")
    style_size: int = Field(512, ge=MIN_STYLE_SIZE, description="smallest side of styles in pixels, if they are larger")
    preserve_colour: PreserveColour = "none"
    precision: Precision = "fp32"
    steady: bool = Field(False, description="clips without flicker: strokes go with what they are painted on")
    content_noise: float = Field(
        StylizeOptions.content_noise, ge=0, le=MOST_NOISE, description="on contents, so that even areas get strokes; 0: none"
    )

    @property
    def options(self) -> StylizeOptions:
        """The same as options of a session."""
        return StylizeOptions(**self.model_dump())


class BatchConfig(Document):
    """What configs/stylization.yaml holds."""

    model: str = Field("ieast", description="a released model, a folder, or models:/NAME@ALIAS or models:/NAME/VERSION")
    data: DataConfig | None = Field(
        None, description="a dataset version, whose content/ and clips/ are stylized in the styles of its style/"
    )
    contents: str | None = Field(None, description="a folder of pictures and videos, or one of them, instead of the data's")
    styles: str | None = Field(None, description="a folder of artworks, or one, instead of the data's")
    clips: bool = Field(True, description="whether the dataset's clips are stylized, too")
    most_contents: PositiveInt | None = Field(None, description="so many, evenly spread over all; none: all")
    most_styles: PositiveInt | None = Field(None, description="so many, evenly spread over all; none: all")
    settings: StylizeSettings = StylizeSettings()
    suffix: str = Field(".png", description="of pictures")
    output: str = Field("stylized", description="folder that gets a folder for each version of the results")
    engine: Literal["embedded", "ray"] = Field(
        "embedded", description="this process alone, or several by Ray Data, here or on the cluster Ray is connected to"
    )
    processes: PositiveInt = Field(2, description="that share the work with `engine: ray`")
    device: str = Field("auto", description="cpu, cuda, ...; auto takes a GPU where there is one")

    @model_validator(mode="after")
    def _there_is_something_to_do(self) -> Self:
        for side in ("contents", "styles"):
            if getattr(self, side) is None and self.data is None:
                raise ValueError(f"neither `{side}` nor `data` is given; name a folder, or a dataset version")
        return self

    def check(self) -> None:
        """Raise unless the options fit each other.

        Raises:
            ConfigError: Names the one that does not.
        """
        self.settings.options.check(1)
        if not self.suffix.startswith("."):
            raise ConfigError(f"suffix is {self.suffix!r}; it must begin with a dot, as .png does")
