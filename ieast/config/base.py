"""What every configuration has in common: strictness, reading, and errors that name the place."""

import json
import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ieast.errors import ConfigError


class Settings(BaseModel):
    """Base of every section: immutable, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, values: Mapping[str, Any], source: str = "configuration") -> Self:
        """Check `values` and fill in defaults.

        Raises:
            ConfigError: Names each wrong key with its place in `source`.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(describe(error, source)) from None


class _OnceLoader(yaml.SafeLoader):
    """PyYAML takes the last of two equal keys, and what stood under the first is lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping, whose keys are all different."""
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = self.construct_object(key, deep=True)
            if isinstance(name, Hashable):
                if name in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{name} stands there twice", key.start_mark)
                seen.add(name)
        return super().construct_mapping(node, deep)


class Document(Settings):
    """A whole configuration: what `parameters: config:` of a pipeline's YAML file holds."""

    work_folder: str = Field(
        default_factory=lambda: os.environ.get("IEAST_WORK", ".work"),
        description="prepared datasets, checkpoints and models that are being made",
    )

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read the `parameters: config:` section of a pipeline's YAML file.

        Raises:
            ConfigError: The file is missing, is not YAML, has no such section, or a key is wrong.
        """
        path = Path(path)
        try:
            document = yaml.load(path.read_text(), _OnceLoader)  # noqa: S506 - a SafeLoader
        except FileNotFoundError:
            raise ConfigError(f"there is no configuration file {path}") from None
        except OSError as error:
            raise ConfigError(f"{path} cannot be read as a configuration file ({error.strerror})") from None
        # YAML says a number of five thousand digits or a thirtieth of February by ValueError, and of nesting by RecursionError.
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is not valid YAML: {error}") from None
        try:
            values = document["parameters"]["config"]
        except (TypeError, KeyError):
            raise ConfigError(f"{path} has no section `parameters: config:`; see the files in configs/") from None
        return cls.parse(values, str(path))

    def canonical_json(self) -> str:
        """The configuration as JSON with sorted keys, for digests and records."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)


def describe(error: ValidationError, source: str) -> str:
    """Pydantic's findings as one readable line each, with the place in the configuration."""
    lines = [f"{source} is not a valid configuration:"]
    for finding in error.errors():
        place = ".".join(str(part) for part in finding["loc"]) or "(whole)"
        if finding["type"] == "extra_forbidden":
            lines.append(f"  {place}: unknown key; check its spelling and the section it stands in")
        else:
            lines.append(f"  {place}: {finding['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, section by section."""
    merged = dict(base)
    for key, value in over.items():
        both_maps = isinstance(merged.get(key), Mapping) and isinstance(value, Mapping)
        merged[key] = merge(merged[key], value) if both_maps else value
    return merged
