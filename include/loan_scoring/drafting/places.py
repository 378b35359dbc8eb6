"""Find the line of a field in a contract's YAML file."""

from collections.abc import Iterator, Sequence

import yaml

Step = int | str


def line_of(root: yaml.Node | None, path: Sequence[Step]) -> int:
    """Return the line of a field, or of the nearest part around it that the file has.

    Args:
        root: the file's root node, as `yaml.compose` returns it.
        path: names of fields and places in lists, from the root. Steps that the file does not have
            are left out, because pydantic names the variants of a type too.
    """
    node, line = root, 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(step)), None)
            if pair is None:
                continue
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value)
        ):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line


def repeated_keys(
    node: yaml.Node | None, path: tuple[Step, ...] = ()
) -> Iterator[tuple[Step, ...]]:
    """Yield the path of each field that stands twice in one mapping; YAML would take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            here = (*path, str(key.value))
            if key.value in seen:
                yield here
            seen.add(str(key.value))
            yield from repeated_keys(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield from repeated_keys(value, (*path, place))
