"""The rooms of textleak and what each imports, as a mermaid picture and a table of lines.

    python examples/rooms.py

Arrows that follow from others are left out: where A imports B and B imports C, A → C is not drawn.
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path
from statistics import median

import textleak

ROOT = Path(textleak.__file__).parent


def imported(path: Path) -> set[str]:
    """The rooms that a module imports from when it is run, by name."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("textleak."):
            found.add(str(node.module).split(".")[1])
        todo += ast.iter_child_nodes(node)
    return found


def rooms() -> dict[str, list[Path]]:
    """The modules of each room."""
    folders = sorted(path for path in ROOT.iterdir() if (path / "__init__.py").exists())
    return {folder.name: sorted(folder.rglob("*.py")) for folder in folders}


def arrows(found: dict[str, list[Path]]) -> dict[str, set[str]]:
    """Which rooms each room imports, without those that follow."""
    direct = {
        room: set().union(*map(imported, modules)) & found.keys() - {room}
        for room, modules in found.items()
    }
    return {
        room: {b for b in below if not _follows(direct, room, b)} for room, below in direct.items()
    }


def _follows(direct: dict[str, set[str]], room: str, target: str) -> bool:
    seen: set[str] = set()
    todo = [other for other in direct[room] if other != target]
    while todo:
        other = todo.pop()
        if other == target:
            return True
        if other not in seen:
            seen.add(other)
            todo += direct[other]
    return False


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    found = rooms()
    print("flowchart TD")
    for room, below in arrows(found).items():
        for other in sorted(below):
            print(f"    {room} --> {other}")
    print("\n| room | files | lines |\n| --- | ---: | ---: |")
    for room, modules in found.items():
        print(f"| `{room}` | {len(modules)} | {sum(map(lines, modules))} |")
    sizes = {path: lines(path) for path in ROOT.rglob("*.py")}
    largest = max(sizes, key=lambda path: sizes[path])
    print(f"\nmedian {median(sizes.values()):g} lines; ", end="")
    print(f"largest {largest.relative_to(ROOT)}, {sizes[largest]}")


if __name__ == "__main__":
    main()
