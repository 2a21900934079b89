"""A command line whose flags are the fields of a config dataclass: one typed source for YAML, flags and help."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar

import yaml
from jsonargparse import ArgumentParser, Namespace, set_parsing_settings
from jsonargparse.typing import register_type

from toxitrace.config import Paths, Seeds

Config = TypeVar("Config")


def settings_parser(command: str, description: str, config_class: type[Any]) -> ArgumentParser:
    """Parser with ``--config FILE.yaml`` and a flag for every field, nested ones with dots (``--optim.lr``)."""
    _accept_single_values()
    set_parsing_settings(docstring_parse_attribute_docstrings=True)  # a field's docstring is its flag's help
    parser = ArgumentParser(prog=f"toxitrace {command}", description=description)
    parser.add_argument("--config", action="config", help="YAML recipe; flags after it win over what it says")
    parser.add_class_arguments(config_class, as_group=False)
    return parser


def build_config(namespace: Namespace, config_class: type[Config]) -> Config:
    """Turn parsed flags into the frozen dataclass, its own checks included.

    Raises:
        ConfigError: a value is outside its range; the message names the flag.
    """
    values = {f.name: namespace[f.name] for f in dataclasses.fields(config_class)}  # type: ignore[arg-type]
    return config_class(**{name: _frozen(value, config_class, name) for name, value in values.items()})


def _frozen(value: Any, owner: type[Any], name: str) -> Any:
    """Nested namespaces become the dataclass that the field's type names."""
    if not isinstance(value, Namespace):
        return value
    kind = _field_type(owner, name)
    return kind(**{key: _frozen(inner, kind, key) for key, inner in vars(value).items()})


def _field_type(owner: type[Any], name: str) -> type[Any]:
    import typing

    hint = typing.get_type_hints(owner)[name]
    if not dataclasses.is_dataclass(hint):
        raise TypeError(f"{owner.__name__}.{name} is no nested config")
    return typing.cast("type[Any]", hint)


def _accept_single_values() -> None:
    """Let a list flag take one bare value, a YAML list in a string, or a list from a recipe."""
    register_type(
        Paths, serializer=list, deserializer=lambda value: Paths(map(str, _items(value))), fail_already_registered=False
    )
    register_type(
        Seeds, serializer=list, deserializer=lambda value: Seeds(map(int, _items(value))), fail_already_registered=False
    )


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = yaml.safe_load(value)
    return value if isinstance(value, (list, tuple)) else [value]
