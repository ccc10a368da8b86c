"""What OpenAPI says of `POST /v1/stylize`, whose form is read by our own bounds and not by FastAPI's."""

from typing import Any, get_args

from ieast.config.stylization import MOST_NOISE, PRESERVE_COLOUR, StylizeOptions
from ieast.service.orders import Format
from ieast.styles import shipped_styles

CURL = "curl -F content=@photo.jpg -F style_name=wave_print -F alpha=0.8 http://127.0.0.1:8000/v1/stylize -o stylized.jpg"

TWO = (
    "curl -F content=@photo.jpg -F style=@a.jpg -F style=@b.jpg -F weight=2 -F weight=1 -F format=png "
    "http://127.0.0.1:8000/v1/stylize -o stylized.png"
)

DESCRIPTION = f"""Photographs in the style of artworks.

One shipped style:

```bash
{CURL}
```

Two of your own, the first twice as strong, the result as PNG:

```bash
{TWO}
```

With an API key, add `-H "X-API-Key: KEY"`. Every refusal is `{{"detail": ..., "request": ...}}`; after 429 and 503 come again
when `Retry-After` says.
"""

_REFUSAL = {
    "type": "object",
    "properties": {"detail": {"type": "string"}, "request": {"type": "string"}},
    "required": ["detail", "request"],
}
_FILE = {"type": "string", "format": "binary"}


def _error(description: str, detail: str) -> dict[str, Any]:
    example = {"detail": detail, "request": "5e0c9a31d2b74f68"}
    return {"description": description, "content": {"application/json": {"schema": _REFUSAL, "example": example}}}


ERRORS: dict[int | str, dict[str, Any]] = {
    401: _error("The API key is missing or wrong.", "This needs an API key. Send it as the header X-API-Key."),
    413: _error(
        "Too many bytes or pixels.", "The request is larger than 32 MiB, pictures and all. Send smaller files, such as JPEG."
    ),
    422: _error("Something cannot be done or read.", "alpha is 1.5; it must lie between 0 and 1."),
    429: _error("Too many requests wait.", "All 17 places are taken just now. Come again in about 9 s."),
    503: _error("It took too long, or memory is short.", "There is not enough memory for this picture just now."),
}


def stylize_schema() -> dict[str, Any]:
    """The form's fields, with values that work as they are."""
    names = list(shipped_styles())
    properties = {
        "content": {**_FILE, "description": "The photograph: JPEG, PNG, WebP, AVIF, TIFF, GIF, BMP or JPEG 2000."},
        "style": {"type": "array", "items": _FILE, "description": "Artworks of your own; several are blended."},
        "style_name": {
            "type": "array",
            "items": {"type": "string", "enum": names},
            "description": "Styles that come with the service, beside or in place of your own.",
            "example": ["wave_print"],
        },
        "weight": {
            "type": "array",
            "items": {"type": "number", "minimum": 0},
            "description": "One a style, in the order in which styles are sent; only proportions matter.",
        },
        "mask": {
            "type": "array",
            "items": _FILE,
            "description": "One a style: white where it applies, as large as the content.",
        },
        "alpha": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": StylizeOptions.alpha,
            "description": "0 keeps the content.",
        },
        "style_size": {
            "type": "integer",
            "minimum": 16,
            "default": StylizeOptions.style_size,
            "description": "Smallest side at which styles are looked at: smaller makes finer strokes.",
        },
        "preserve_colour": {
            "type": "string",
            "enum": list(PRESERVE_COLOUR),
            "default": StylizeOptions.preserve_colour,
            "description": "Keep the content's colours: in the result, or by recolouring the style first.",
        },
        "content_noise": {
            "type": "number",
            "minimum": 0,
            "maximum": MOST_NOISE,
            "default": StylizeOptions.content_noise,
            "description": "Faint noise on the content, so that even areas get strokes and no pattern; 0 for none.",
        },
        "longest_side": {
            "type": "integer",
            "minimum": 16,
            "description": "Make a larger content smaller first.",
            "example": 1024,
        },
        "format": {"type": "string", "enum": list(get_args(Format)), "default": "jpeg", "description": "Of the result."},
        "keep_alpha": {
            "type": "boolean",
            "default": False,
            "description": "Keep the content's transparency, as PNG or WebP, rather than lay it on white.",
        },
    }
    form = {"type": "object", "required": ["content"], "properties": properties}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "x-codeSamples": [{"lang": "bash", "label": "curl", "source": CURL}],
    }
