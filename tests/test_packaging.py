"""What is installed: every package, the presets, and nothing under a name that others could claim."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytest.importorskip("setuptools", minversion="77")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of the files in a wheel built from a copy of this tree."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("textleak", "cli", "configs"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", build],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tree.glob("*.whl"))) as archive:
        return archive.namelist()


def test_every_module_and_preset_is_in_the_wheel(wheel: list[str]) -> None:
    expected = {str(path.relative_to(ROOT)) for path in (ROOT / "textleak").rglob("*.py")}
    expected |= {f"textleak_cli/{path.name}" for path in (ROOT / "cli").glob("*.py")}
    expected |= {f"textleak_configs/{path.name}" for path in (ROOT / "configs").glob("*.*")}
    assert expected <= set(wheel)


def test_no_name_is_claimed_that_is_not_ours(wheel: list[str]) -> None:
    tops = {name.split("/")[0].split("-")[0] for name in wheel}
    assert tops == {"textleak", "textleak_cli", "textleak_configs"}
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
