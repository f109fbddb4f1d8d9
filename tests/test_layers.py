"""Attacks never see the truth: nothing that they import, however far, leads to it."""

import ast
from pathlib import Path

import textleak

ROOT = Path(textleak.__file__).parent
HIDDEN = {"client", "metrics", "report", "audit"}


def modules() -> dict[str, Path]:
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = ("textleak", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """The textleak modules that a module imports, wherever in it, and their packages."""
    found: set[str] = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            module = ".".join([*base, node.module or ""]).rstrip(".") if node.level else node.module
            found |= {str(module), *(f"{module}.{alias.name}" for alias in node.names)}
    found |= {target.rpartition(".")[0] for target in found}
    return found & known.keys() - {"textleak"}


def reach(start: str, graph: dict[str, set[str]]) -> set[str]:
    seen, open_ = set(), [start]
    while open_:
        name = open_.pop()
        if name not in seen:
            seen.add(name)
            open_ += graph[name]
    return seen


KNOWN = modules()
GRAPH = {name: imports(name, path, KNOWN) for name, path in KNOWN.items()}


def test_the_walk_sees_imports() -> None:
    assert "textleak.client.client" in reach("textleak.audit", GRAPH)
    assert "textleak.models.text_model" in GRAPH["textleak.attacks.base"]


def test_no_attack_reaches_the_truth() -> None:
    attacks = [name for name in GRAPH if "attacks" in name.split(".")]
    assert {"textleak.attacks.base", "textleak.vision.attacks.base"} <= set(attacks)
    for name in attacks:
        seen = {module for module in reach(name, GRAPH) if HIDDEN & set(module.split("."))}
        assert not seen, f"{name} can see {sorted(seen)}"


def test_metrics_and_report_load_no_model() -> None:
    for package in ("metrics", "report"):
        for name in GRAPH:
            if name.startswith(f"textleak.{package}"):
                assert not [m for m in GRAPH[name] if m.startswith("textleak.models")], name
