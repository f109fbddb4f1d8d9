"""Attacks never see the truth, imports run one way, and what only shows results loads no torch."""

import ast
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import textleak

ROOT = Path(textleak.__file__).parent
HIDDEN = {"client", "metrics", "report", "audit"}


def modules() -> dict[str, Path]:
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = ("textleak", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def loaded(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
        yield from loaded(node)


def imports(name: str, path: Path, known: dict[str, Path], *, types: bool = True) -> set[str]:
    """The textleak modules that a module imports, wherever in it, and their packages.

    `types` counts those that only a type checker reads.
    """
    found: set[str] = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if types else loaded(tree):
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
RUNNING = {name: imports(name, path, KNOWN, types=False) for name, path in KNOWN.items()}
ORDER = (  # of the rooms: each imports only from those before it
    *(
        "core",
        "optim",
        "gradients",
        "training",
        "tasks",
        "models",
        "defences",
        "evidence",
        "updates",
    ),
    *(
        "verdict",
        "likelihood",
        "client",
        "attacks",
        "metrics",
        "results",
        "audit",
        "grid",
        "report",
        "bench",
    ),
    *("vision", "utility", "integrations"),
)


def test_the_walk_sees_imports() -> None:
    assert "textleak.client.client" in reach("textleak.audit", GRAPH)
    assert "textleak.models.text_model" in GRAPH["textleak.attacks.base"]


def test_no_attack_reaches_the_truth() -> None:
    attacks = [name for name in GRAPH if "attacks" in name.split(".")]
    assert {"textleak.attacks.base", "textleak.vision.attacks.base"} <= set(attacks)
    for name in attacks:
        seen = {module for module in reach(name, GRAPH) if HIDDEN & set(module.split("."))}
        assert not seen, f"{name} can see {sorted(seen)}"


def test_every_room_has_its_place() -> None:
    assert sorted(ORDER) == sorted({name.split(".")[1] for name in KNOWN if "." in name})


@pytest.mark.parametrize("room", ORDER)
def test_imports_run_one_way(room: str) -> None:
    below = {*ORDER[: ORDER.index(room) + 1]}
    for name in RUNNING:
        if name.split(".")[1:2] == [room]:
            seen = {target for target in RUNNING[name] if target.split(".")[1] not in below}
            assert not seen, f"{name} imports {sorted(seen)} of a later room"


def test_core_knows_nothing_else_even_by_type() -> None:
    for name in GRAPH:
        if name.startswith("textleak.core"):
            assert all(target.startswith("textleak.core") for target in GRAPH[name]), name


@pytest.mark.parametrize("room", ["metrics", "results", "report"])
def test_what_shows_results_reaches_no_model(room: str) -> None:
    for name in RUNNING:
        if name.startswith(f"textleak.{room}"):
            seen = {m for m in reach(name, RUNNING) if m.split(".")[1] in ("models", "attacks")}
            assert not seen, f"{name} reaches {sorted(seen)}"


def test_results_and_report_load_no_torch() -> None:
    names = [
        info.name
        for room in ("results", "report")
        for info in pkgutil.walk_packages([str(ROOT / room)], f"textleak.{room}.")
    ]
    assert {"textleak.results.log", "textleak.report.grid.page"} <= set(names)
    script = f"import sys, {', '.join(names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
