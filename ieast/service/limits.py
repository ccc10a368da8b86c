"""What a stranger may ask of the service, and how one is told that it was too much."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """Bounds on one request and on all at once.

    Attributes:
        body_bytes: Of a request, pictures and all.
        decoded_pixels: Of a picture that is read; judged by its header. Phones make 12 to 50 million.
        stylized_pixels: Of a picture that is stylized, which `longest_side` makes smaller before.
        styles: In one request.
        style_size: Largest that may be asked for.
        workers: Pictures computed at once.
        waiting: Requests that may be read or wait beside those.
        seconds: From a request's first byte to its answer.
        cache_bytes: What encoded styles may take.
    """

    body_bytes: int = 32 << 20
    decoded_pixels: int = 50_000_000
    stylized_pixels: int = 2048 * 2048
    styles: int = 8
    style_size: int = 2048
    workers: int = 1
    waiting: int = 16
    seconds: float = 60.0
    cache_bytes: int = 256 << 20


@dataclass
class RefusalError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: The answer's status.
        detail: A sentence that says what was wrong and what to do.
        headers: Of the answer.
    """

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
