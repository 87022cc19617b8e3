"""Where in a YAML text each key stands."""

from __future__ import annotations

import yaml

from netalike.evidence.claims.mistakes import Path


class Places:
    """Lines of keys and list items, and the keys that stand twice.

    Parameters
    ----------
    text : str

    Attributes
    ----------
    lines : dict
        From a path, such as ``("claims", 0, "id")``, to its line, from 1.
    repeated : list of tuple
        Path, first line and second line of each key that stands twice in one mapping.
    is_mapping : bool
        Whether the text holds keys and values, or nothing.
    ids : dict
        From the path of a mapping with a key ``id`` to that id.

    Raises
    ------
    yaml.YAMLError
        If the text is no YAML.
    """

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self.repeated: list[tuple[Path, int, int]] = []
        self.ids: dict[Path, str] = {}
        top = yaml.compose(text, Loader=yaml.SafeLoader)
        self.is_mapping = top is None or isinstance(top, yaml.MappingNode)
        self._visit((), top)

    def line(self, path: Path) -> int | None:
        """Return the line of a key, or of the nearest one above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def _visit(self, path: Path, node: yaml.Node | None) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._visit_key(path, key, value)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.lines[(*path, index)] = item.start_mark.line + 1
                self._visit((*path, index), item)

    def _visit_key(self, path: Path, key: yaml.Node, value: yaml.Node) -> None:
        here, line = (*path, str(key.value)), key.start_mark.line + 1
        if here in self.lines and key.value != "<<":
            self.repeated.append((here, self.lines[here], line))
        self.lines.setdefault(here, line)
        if key.value == "id" and isinstance(value, yaml.ScalarNode):
            self.ids.setdefault(path, value.value)
        self._visit(here, value)
