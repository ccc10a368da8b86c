"""What a client asks for: a multipart form, read within bounds and without a file on disk."""

import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, cast, get_args

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ieast.config.stylization import Precision, PreserveColour, StylizeOptions
from ieast.errors import ConfigError
from ieast.service.limits import Limits, RefusalError
from ieast.styles import shipped_styles

Format = Literal["jpeg", "png", "webp"]

PICTURES = ("content", "style", "mask")
_OPTIONS = ("alpha", "style_size", "preserve_colour", "content_noise")
TEXTS = ("style_name", "weight", *_OPTIONS, "longest_side", "format", "keep_alpha")
_REPEATED = ("style", "mask", "style_name", "weight")
_LONGEST_TEXT = 4096


@dataclass(frozen=True)
class Order:
    """A stylization to be made.

    Attributes:
        content: A picture's file.
        styles: Pictures' files, or names of shipped styles.
        masks: Pictures' files, one a style, or none.
        options: Options.
        longest_side: Pixels to which a larger content is made smaller first; None takes it as it is.
        format: Of the result.
        keep_alpha: Whether the result is as transparent as the content, which is otherwise laid on white.
    """

    content: bytes
    styles: tuple[bytes | str, ...]
    masks: tuple[bytes, ...]
    options: StylizeOptions
    longest_side: int | None
    format: Format
    keep_alpha: bool = False


class _InMemory(MultiPartParser):
    # Pictures are nobody's business, and a service in a container may have no disk: larger ones would be spooled to one.
    spool_max_size = sys.maxsize


async def read_order(request: Request, limits: Limits, precision: Precision) -> Order:
    """The order in the body of `request`.

    Raises:
        RefusalError: It is too large, is no form, or says something that cannot be done.
    """
    content_type, parameters = parse_options_header(request.headers.get("content-type", ""))
    if content_type != b"multipart/form-data" or not parameters.get(b"boundary"):
        raise RefusalError(
            422, "The body must be multipart/form-data: curl -F content=@photo.jpg -F style=@painting.jpg URL. See /docs."
        )
    parser = _InMemory(
        request.headers,
        _within(request, limits.body_bytes),
        max_files=1 + 2 * (limits.styles + 1),
        max_fields=len(TEXTS) + 2 * (limits.styles + 1),
        max_part_size=_LONGEST_TEXT,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, UnicodeError) as error:  # the latter where the charset that is named is none for text
        reason = getattr(error, "message", str(error)).removesuffix(".")
        raise RefusalError(422, f"The form cannot be read: {reason}. See /docs for what it may hold.") from None
    try:
        return await _order(form.multi_items(), limits, precision)
    except ConfigError as error:
        raise RefusalError(422, f"{error}".removesuffix(".") + ".") from None
    finally:
        await form.close()


async def _within(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    too_large = RefusalError(
        413, f"The request is larger than {most / (1 << 20):.0f} MiB, pictures and all. Send smaller files, such as JPEG."
    )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise too_large
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > most:
            raise too_large
        yield chunk


async def _order(items: list[tuple[str, str | UploadFile]], limits: Limits, precision: Precision) -> Order:
    files: dict[str, list[bytes]] = {name: [] for name in PICTURES}
    texts: dict[str, list[str]] = {name: [] for name in TEXTS}
    styles: list[bytes | str] = []
    for name, value in items:
        if name not in files and name not in texts:
            raise ConfigError(f"there is no field {name!r}; there are {', '.join(PICTURES + TEXTS)}")
        if isinstance(value, str):
            if name in files:
                raise ConfigError(
                    f"{name} must be a picture's file, as curl -F {name}=@FILE sends it; shipped styles go by style_name"
                )
            # Documentation pages and people write lists with commas.
            words = [word.strip() for word in (value.split(",") if name in _REPEATED else [value])]
            texts[name] += filter(None, words)
            styles += filter(None, words) if name == "style_name" else ()
        elif name in texts:
            raise ConfigError(f"{name} must be text, not a file")
        elif value.filename or value.size:  # browsers send an empty part where no file was chosen
            data = await value.read()
            files[name].append(data)
            styles += [data] if name == "style" else ()
    for name in PICTURES + TEXTS:
        count = len(files.get(name, ())) + len(texts.get(name, ()))
        if count > 1 and name not in _REPEATED:
            raise ConfigError(f"{name} is given {count} times; give it once")
    if not files["content"]:
        raise ConfigError("there is no content; send the photograph as the file content")
    if not styles:
        raise ConfigError("there is no style; send a picture as the file style, or name one of GET /v1/styles as style_name")
    if len(styles) > limits.styles:
        raise ConfigError(f"there are {len(styles)} styles; give at most {limits.styles}")
    for style in styles:
        if isinstance(style, str) and style not in shipped_styles():
            raise ConfigError(f"there is no shipped style {style!r}; there are {', '.join(shipped_styles())}")
    options = StylizeOptions(
        alpha=_number(texts, "alpha", StylizeOptions.alpha),
        weights=tuple(_as_number("weight", text) for text in texts["weight"]),
        style_size=_whole(texts, "style_size") or StylizeOptions.style_size,
        preserve_colour=cast(PreserveColour, _text(texts, "preserve_colour", StylizeOptions.preserve_colour)),
        precision=precision,
        content_noise=_number(texts, "content_noise", StylizeOptions.content_noise),
    )
    options.check(len(styles), len(files["mask"]))
    if options.style_size > limits.style_size:
        raise ConfigError(f"style_size is {options.style_size}; it must be at most {limits.style_size} pixels")
    format_ = _text(texts, "format", "jpeg").lower().replace("jpg", "jpeg")
    if format_ not in get_args(Format):
        raise ConfigError(f"format is {format_!r}; it must be one of {', '.join(get_args(Format))}")
    keep_alpha = _text(texts, "keep_alpha", "false").lower()
    if keep_alpha not in ("true", "false"):
        raise ConfigError(f"keep_alpha is {keep_alpha[:40]!r}; it must be true or false")
    if keep_alpha == "true" and format_ == "jpeg":
        raise ConfigError("JPEG holds no transparency for keep_alpha to keep; ask for format=png or format=webp")
    return Order(
        files["content"][0],
        tuple(styles),
        tuple(files["mask"]),
        options,
        _whole(texts, "longest_side"),
        cast(Format, format_),
        keep_alpha == "true",
    )


def _text(texts: dict[str, list[str]], name: str, default: str) -> str:
    return texts[name][0] if texts[name] else default


def _number(texts: dict[str, list[str]], name: str, default: float) -> float:
    return _as_number(name, texts[name][0]) if texts[name] else default


def _as_number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name} is {text[:40]!r}; it must be a number, such as 0.8") from None


def _whole(texts: dict[str, list[str]], name: str) -> int | None:
    if not texts[name]:
        return None
    text = texts[name][0]
    # Python reads numbers of thousands of digits slowly.
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and int(text) >= 16):
        raise ConfigError(f"{name} is {text[:40]!r}; it must be a whole number of pixels, at least 16")
    return int(text)
