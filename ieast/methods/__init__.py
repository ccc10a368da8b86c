"""The published methods, one file each. Every configuration, pipeline and command knows a method by the name of its file.

That file defines `METHOD`, a subclass of `ieast.stylizer.base.Stylizer`.
"""

import re
from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from ieast.errors import ConfigError

if TYPE_CHECKING:
    from ieast.config import ModelConfig
    from ieast.models.encoder import Encoder
    from ieast.stylizer.base import FittingPairs, Stylizer

NAME_SWITCHES = {"el": "external_learning", "cl": "contrastive_learning"}
"""What a method's name may end in, and what it switches on."""


def names() -> list[str]:
    """The methods there are."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))


def find(name: str) -> "type[Stylizer]":
    """The method called `name`, without switches.

    Raises:
        ConfigError: There is none of this name.
    """
    if name not in names():
        raise ConfigError(f"there is no method {name!r}; known are {', '.join(names())}")
    return import_module(f"{__name__}.{name.replace('-', '_')}").METHOD


def split_name(name: str) -> tuple[str, dict[str, bool]]:
    """`adain+el+cl` as the method `adain` and the objective's switches that the name turns on.

    Raises:
        ConfigError: It is not written so.
    """
    base, *switches = name.split("+")
    if not re.fullmatch(r"[a-z0-9-]+", base) or not set(switches) <= set(NAME_SWITCHES) or len(set(switches)) < len(switches):
        raise ConfigError(f"method {name!r} is not a method's name, followed by +el, +cl or both")
    return base, {NAME_SWITCHES[switch]: True for switch in switches}


def full_name(base: str, *, external_learning: bool, contrastive_learning: bool) -> str:
    """What a method with these switches is called: the inverse of `split_name`, but that two methods have other names.

    SANet with EL and CL is this paper's method, and that without them is SANet; without one of them it is called as the
    ablation calls that variant.
    """
    both = (external_learning, contrastive_learning)
    if base in ("ieast", "sanet"):
        return {(True, True): "ieast", (True, False): "ieast-no-cl", (False, True): "ieast-no-el"}.get(both, "sanet")
    return base + "+el" * external_learning + "+cl" * contrastive_learning


def build(name: str, encoder: "Encoder", options: Mapping[str, Any] | None = None) -> "Stylizer":
    """The method called `name` on `encoder`, with new weights.

    Raises:
        ConfigError: There is no such method, or it does not know these options.
    """
    method = find(name)
    return method(encoder, method.parse_options(options or {}))


def new_model(name: str, encoder: "Encoder", config: "ModelConfig", pairs: "FittingPairs | None" = None) -> "Stylizer":
    """The method called `name` on `encoder`, ready to be trained as `config` says.

    Raises:
        ConfigError: There is no such method, or it does not know the options.
        ValueError: Its start is fitted on pictures, and there are no `pairs`.
    """
    model = build(name, encoder, config.options)
    model.start(config, pairs)
    return model
