"""YAML as textleak reads it everywhere: in files, after `--set key=`, and in defences.

The core schema of YAML 1.2 and nothing else: null, true, false, numbers, text, lists, keys with values.
A date is text, `1e-3` is a number, and an error is what no option can hold: any other tag, a whole
number beyond 64 bits, infinity, NaN, nesting deeper than any configuration's.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml
from yaml.constructor import ConstructorError

DEEPEST = 20  # levels of nesting; a grid has five
LOWEST, HIGHEST = -(2**63), 2**63 - 1  # what torch takes for a whole number
MOST_CHARACTERS = 250_000  # of a text; more belongs into a file of sentences
MOST_NODES = 50_000  # keys, values and list entries, those that an alias repeats counted again
_LONGEST = 400  # digits of a number; the largest float has 309
_PREFIX = "tag:yaml.org,2002:"
_PATTERNS = {
    "null": re.compile(r"(?:~|null|Null|NULL|)$"),
    "bool": re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"[-+]?(?:[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+)$"),
    "float": re.compile(
        r"[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.inf|\.Inf|\.INF)$"
        r"|\.(?:nan|NaN|NAN)$"
    ),
}


class _Loader(yaml.SafeLoader):
    """A loader of the core schema, whose nodes are bounded in depth."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._around: list[str | None] = []  # the anchors of the nodes that hold the next one
        self._count = 0  # nodes so far, as they will be once aliases are written out
        self._sizes: dict[str, int] = {}  # the same inside each anchor's node

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node; an error where it lies too deep, or holds itself."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if len(self._around) == DEEPEST:
            raise _refusal(event, f"nested deeper than {DEEPEST} levels")
        if isinstance(event, yaml.AliasEvent) and event.anchor in self._around:
            raise _refusal(event, f"{event.anchor!r} holds itself")
        before = self._count
        alias = isinstance(event, yaml.AliasEvent)
        self._count += self._sizes.get(event.anchor, 1) if alias else 1
        if self._count > MOST_NODES:
            raise _refusal(event, f"more than {MOST_NODES} values, repeated ones counted")
        self._around.append(event.anchor)
        node = super().compose_node(parent, index)
        self._around.pop()
        if event.anchor is not None and not alias:
            self._sizes[event.anchor] = self._count - before
        return node


def _scalar(node: Any, kind: str) -> str:
    text = str(node.value)
    if not _PATTERNS[kind].match(text) or len(text) > _LONGEST:
        raise _refusal(node, f"expected {kind} of at most {_LONGEST} characters")
    return text


def _whole(_: _Loader, node: yaml.ScalarNode) -> int:
    text = _scalar(node, "int")
    number = int(text, 0 if text.lstrip("+-0")[:1] in ("x", "o") else 10)
    if not LOWEST <= number <= HIGHEST:
        raise _refusal(node, "expected a whole number of at most 64 bits")
    return number


def _real(_: _Loader, node: yaml.ScalarNode) -> float:
    number = float(re.sub(r"\.(?=[infa])", "", _scalar(node, "float").lower()))
    if not math.isfinite(number):
        raise _refusal(node, "expected a finite number")
    return number


def _stranger(_: _Loader, node: yaml.Node) -> None:
    raise _refusal(node, f"the tag {node.tag.removeprefix(_PREFIX)!r} is not known")


def _refusal(place: Any, what: str) -> ConstructorError:
    return ConstructorError(None, None, what, place.start_mark)


_Loader.yaml_implicit_resolvers = {
    None: [(_PREFIX + name, pattern) for name, pattern in _PATTERNS.items()]
}
_Loader.yaml_constructors = {
    _PREFIX + "null": lambda _, node: None,
    _PREFIX + "bool": lambda _, node: _scalar(node, "bool").lower() == "true",
    _PREFIX + "int": _whole,
    _PREFIX + "float": _real,
    _PREFIX + "str": yaml.SafeLoader.construct_yaml_str,
    _PREFIX + "seq": yaml.SafeLoader.construct_yaml_seq,
    _PREFIX + "map": yaml.SafeLoader.construct_yaml_map,
    None: _stranger,
}


def parse_yaml(text: str) -> tuple[Any, yaml.Node | None]:
    """What `text` says, and its nodes, which know their lines.

    >>> parse_yaml("{a: 1e-3, b: 2020-01-01, c: [yes, ~]}")[0]
    {'a': 0.001, 'b': '2020-01-01', 'c': ['yes', None]}

    Raises:
        yaml.YAMLError: it is not YAML of the core schema; `problem` and `problem_mark` say why and
            where.
    """
    if len(text) > MOST_CHARACTERS:
        what = f"expected at most {MOST_CHARACTERS} characters"
        raise ConstructorError(None, None, what, None)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return (None if node is None else loader.construct_document(node)), node
    finally:
        loader.dispose()
