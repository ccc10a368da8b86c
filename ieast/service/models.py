"""Which model answers, and how a newly promoted one takes its place."""

import logging
import math
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image

from ieast import __version__
from ieast.checkpoint import ModelCard, load_model
from ieast.config.stylization import Precision, StylizeOptions
from ieast.models.encoder import weights_digest
from ieast.models.pretrained import MODELS
from ieast.stylization.session import StyleSession
from ieast.stylizer.base import Stylizer
from ieast.stylizer.novelty import StyleRange

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedModel:
    """A model that is ready to answer, and what is known of it.

    Attributes:
        stylizer: The model.
        name: The registered, shipped or folder's name.
        version: The registered version's number, or that of the package that shipped it; empty for a folder.
        aliases: What points at it in the registry.
        method: As it was trained.
        encoder: The encoder's name.
        digest: SHA-256 over all weights.
        metrics: Scores that were recorded of it.
        licence: Of the weights, where it is known.
        styles: Where its training styles lie, where that is known.
    """

    stylizer: Stylizer
    name: str
    version: str
    aliases: tuple[str, ...]
    method: str
    encoder: str
    digest: str
    metrics: dict[str, float] = field(default_factory=dict)
    licence: str | None = None
    styles: StyleRange | None = None

    @property
    def title(self) -> str:
        """Name and version, as people say it."""
        return f"{self.name} {self.version}".strip()


def load_served(folder: Path, device: torch.device, precision: Precision = "fp32") -> ServedModel:
    """The model in `folder`, which has proved that it stylizes.

    Raises:
        WeightsError: It cannot be loaded.
        MemoryLimitError: There is not enough memory for it.
    """
    stylizer, card = load_model(folder)
    shipped = next((name for name, home in MODELS.items() if home == folder), None)
    licence = "MIT" if shipped else None
    return _ready(stylizer, card, device, precision, shipped or folder.name, __version__ if shipped else "", licence=licence)


def load_registered(uri: str, device: torch.device, precision: Precision = "fp32") -> ServedModel:
    """The model that `uri` means in the registry now, ready to answer; nothing of it stays on disk.

    Raises:
        RegistryError: There is none, or it cannot be fetched.
        WeightsError: It cannot be loaded.
        MemoryLimitError: There is not enough memory for it.
    """
    from ieast.registry.lookup import look_up
    from ieast.registry.register import fetch_model

    registered = look_up(uri)
    with tempfile.TemporaryDirectory() as folder:
        stylizer, card = load_model(fetch_model(registered.uri, Path(folder)))
    tags = registered.tags
    return _ready(
        stylizer,
        card,
        device,
        precision,
        registered.name,
        registered.version,
        registered.aliases,
        _scores(tags),
        tags.get("licence"),
    )


def _ready(
    stylizer: Stylizer,
    card: ModelCard,
    device: torch.device,
    precision: Precision,
    name: str,
    version: str,
    aliases: tuple[str, ...] = (),
    metrics: dict[str, float] | None = None,
    licence: str | None = None,
) -> ServedModel:
    stylizer = stylizer.to(device)
    # A model that loads may still not compute; and the first picture takes longer than all others.
    grey = Image.new("RGB", (64, 64), "grey")
    StyleSession(stylizer, [grey], StylizeOptions(precision=precision), encode=True).stylize(grey)
    digest = weights_digest(stylizer.state_dict())
    return ServedModel(
        stylizer, name, version, aliases, card.method, card.encoder.name, digest, metrics or {}, licence, card.styles
    )


def _scores(tags: dict[str, str]) -> dict[str, float]:
    """What registration recorded, or in its place the gate, which scores with one encoder for all versions."""
    recorded: dict[str, float] = {}
    for prefix in ("score.", "gate.score."):
        scores = {key.removeprefix(prefix): _number(value) for key, value in tags.items() if key.startswith(prefix)}
        recorded |= {name: value for name, value in scores.items() if math.isfinite(value)}  # JSON knows no others
    return recorded


def _number(text: str) -> float:
    """NaN for what is none: people may set tags by hand."""
    try:
        return float(text)
    except ValueError:
        return math.nan


class Follower:
    """Looks now and then which version an alias means, and puts a new one in the place of what answers.

    Requests keep the model they began with, so none is lost. A version that does not load is reported once and tried again when
    the alias moves, or after `RETRY` looks: the registry may have been unreachable.
    """

    RETRY = 30

    def __init__(
        self,
        look: Callable[[], str],
        load: Callable[[], ServedModel],
        use: Callable[[ServedModel], None],
        fail: Callable[[], None],
        current: str,
        seconds: float,
    ) -> None:
        """Prepare to follow.

        Args:
            look: Says which version the alias means.
            load: Loads what the alias means.
            use: Puts a model in the place of what answers.
            fail: Is told of each version that could not be loaded.
            current: The version that answers now; empty if it is not of the alias.
            seconds: Between looks.
        """
        self.look, self.load, self.use, self.fail = look, load, use, fail
        self.current, self.seconds = current, seconds
        self.refused, self.looks_since = "", 0
        self._stop = threading.Event()
        # Loading takes seconds that stopping the service need not wait for.
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def follow(self) -> None:
        """Look once."""
        try:
            version = self.look()
            self.looks_since += 1
            if version == self.current:
                self.refused = ""
                return
            if version == self.refused and self.looks_since < self.RETRY:
                return
            self.refused, self.looks_since = version, 0
            model = self.load()
            self.use(model)
            self.current, self.refused = model.version, ""
            _log.info("%s answers from now on", model.title)
        except Exception as error:  # whatever is wrong with a new model, the one that answers goes on
            self.fail()
            _log.error("the model stays as it is: %s: %s", type(error).__name__, error)

    def _run(self) -> None:
        while not self._stop.wait(self.seconds):
            self.follow()
