"""Pages of HTML that load nothing from elsewhere: the templates beside this file, filled in."""

import base64
import io
from importlib.resources import files
from typing import Any

import jinja2
from PIL import Image


def page(template: str, **values: Any) -> str:
    """The template of this name, filled in with `values`, which are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: files("ieast.evaluation").joinpath("templates", name).read_text()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def data_uri(picture: Image.Image) -> str:
    """A picture as what an `img` can hold in its `src`."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
