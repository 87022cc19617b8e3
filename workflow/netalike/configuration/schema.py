"""The JSON schema of the configuration, and what it says about one key: the source of every message and of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from netalike.configuration.models import Configuration

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Node = Mapping[str, Any]
Path = tuple[str | int, ...]
_VALUES = ("default", "examples", "enum")


class _InOrder(GenerateJsonSchema):
    """Keeps keys in the order of the models, which is the order of the reference page."""

    def sort(self, value: Any, parent_key: str | None = None) -> Any:
        return value


@cache
def full_schema() -> dict[str, Any]:
    """Return the schema of a complete configuration, as pydantic makes it, without its titles."""
    schema: dict[str, Any] = _without_titles(Configuration.model_json_schema(schema_generator=_InOrder))
    return schema


def file_schema() -> dict[str, Any]:
    """Return the schema of a file that a person writes: presets supply what is required, null removes an entry."""
    schema: dict[str, Any] = _for_files(full_schema())
    for name, section in schema["properties"].items():
        if name not in ("preset", "seed"):
            schema["properties"][name] = _nullable(section)
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "In workflow/presets only: the preset whose values this one changes.",
    }
    title = "netalike configuration"
    return {"$schema": DIALECT, "title": title, **schema}


def resolve(node: Node) -> Node:
    """Follow a reference, and step into the part of a nullable node that is not null; the default stays."""
    if "$ref" in node:
        target = full_schema()["$defs"][str(node["$ref"]).rsplit("/", 1)[-1]]
        return {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    branches = [branch for branch in node.get("anyOf", ()) if branch.get("type") != "null"]
    if len(branches) == 1:
        return {**resolve(branches[0]), **{key: value for key, value in node.items() if key != "anyOf"}}
    return node


def node_at(path: Sequence[str | int]) -> Node | None:
    """Return the schema node of a key, or None if there is no such key."""
    node: Node | None = resolve(full_schema())
    for step in path:
        node = None if node is None else _child(node, step)
    return node


def keys(node: Node) -> list[str]:
    """Return the keys that a section may have; empty where the user chooses them."""
    return list(node.get("properties", ()))


def entries(node: Node) -> Node | None:
    """Return the node of each value of a mapping whose keys the user chooses, or None if it is no such mapping."""
    if "properties" in node or node.get("type") != "object":
        return None
    patterns = list(node.get("patternProperties", {}).values())
    found = patterns[0] if patterns else node.get("additionalProperties")
    return resolve(found) if isinstance(found, Mapping) else None


def has_keys_with_defaults(node: Node) -> bool:
    """Say whether the default of a key is the defaults of the keys in it, so that it need not be repeated."""
    return bool(keys(node)) and bool(node.get("default"))


def is_nullable(node: Node) -> bool:
    """Say whether null is a value of the key, before `resolve`."""
    return any(branch.get("type") == "null" for branch in node.get("anyOf", ()))


def describe(node: Node) -> str:
    """Say in words which values a key takes: "a whole number of at least 4"."""
    allowed = _describe_value(resolve(node))
    return f"{allowed}, or null" if is_nullable(node) and "null" not in allowed else allowed


def _describe_value(node: Node) -> str:
    if "$comment" in node:
        return str(node["$comment"])
    if "enum" in node:
        return "one of " + ", ".join(str(value) for value in node["enum"])
    kind = node.get("type")
    if kind == "array":
        return "a list; each item " + _describe_value(resolve(node.get("items", {})))
    if kind == "object":
        return "a mapping with the keys " + ", ".join(keys(node)) if keys(node) else "a mapping from name to settings"
    return {"integer": "a whole number", "number": "a number", "boolean": "true or false"}.get(
        str(kind), "text"
    ) + _bounds(node)


def _bounds(node: Node) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    found = [f"{word} {node[key]:g}" for key, word in words.items() if key in node]
    if not found:
        return ""
    return (" of " if found[0].startswith("at") else " ") + " and ".join(found)


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(step, int):
        return resolve(node["items"]) if "items" in node else None
    if step in node.get("properties", {}):
        return resolve_keeping_null(node["properties"][step])
    return entries(node)


def resolve_keeping_null(node: Node) -> Node:
    """Resolve a node, and keep what says that null is allowed."""
    resolved = resolve(node)
    return {**resolved, "anyOf": node["anyOf"]} if is_nullable(node) and resolved is not node else resolved


def _without_titles(node: Any) -> Any:
    if isinstance(node, dict):
        # a title of pydantic is text; a key called title is a node
        return {
            key: value if key in _VALUES else _without_titles(value)
            for key, value in node.items()
            if not (key == "title" and isinstance(value, str))
        }
    return [_without_titles(item) for item in node] if isinstance(node, list) else node


def _for_files(node: Any) -> Any:
    if isinstance(node, list):
        return [_for_files(item) for item in node]
    if not isinstance(node, dict):
        return node
    relaxed = {
        key: _for_files(value) for key, value in node.items() if not (key == "required" and isinstance(value, list))
    }
    if isinstance(relaxed.get("patternProperties"), dict):
        relaxed["patternProperties"] = {name: _nullable(item) for name, item in relaxed["patternProperties"].items()}
        relaxed.setdefault("additionalProperties", False)
    return relaxed


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {key: value for key, value in node.items() if key in ("description", "default", "examples")}
    core = {key: value for key, value in node.items() if key not in about}
    return {"anyOf": [core, {"type": "null"}], **about}
