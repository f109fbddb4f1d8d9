"""`textleak list`: every name that can be given to an option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from textleak.core.errors import ConfigError, unknown
from textleak.core.registry import Registry
from textleak.report.terminal import say

app = typer.Typer(add_completion=False)


def _attacks() -> list[tuple[str, str]]:
    from textleak.attacks import ATTACKS

    return [(name, _first_line(ATTACKS.load(name).__doc__)) for name in ATTACKS]


def _defences() -> list[tuple[str, str]]:
    from textleak.defences import DEFENCES

    rows = []
    for name in DEFENCES:
        kind = DEFENCES.load(name)
        rows.append((name, _first_line(kind.__doc__)))
        rows += [("", f"promises: {kind.promises}"), ("", f"costs: {kind.costs}")]
    return rows


def _readers() -> list[tuple[str, str]]:
    from textleak.updates import READERS

    return [(name, READERS.load(name).says) for name in READERS]


def _image_attacks() -> list[tuple[str, str]]:
    from textleak.vision.attacks import IMAGE_ATTACKS

    return [(name, _first_line(IMAGE_ATTACKS.load(name).__doc__)) for name in IMAGE_ATTACKS]


def _options() -> list[tuple[str, str]]:
    from textleak.attacks import ATTACKS
    from textleak.defences import DEFENCES

    return [*_options_of(ATTACKS), *_options_of(DEFENCES)]


def _image_options() -> list[tuple[str, str]]:
    from textleak.vision.attacks import IMAGE_ATTACKS

    return _options_of(IMAGE_ATTACKS)


def _options_of(registry: Registry[Any]) -> list[tuple[str, str]]:
    return [
        (f"{name}: {key}", f"{field.default!r}")
        for name in registry
        for key, field in registry.load(name).options_class.model_fields.items()
    ]


def _families() -> list[tuple[str, str]]:
    from textleak.models.families import FAMILIES

    return [(name, _first_line(FAMILIES.load(name).__doc__)) for name in FAMILIES]


def _models() -> list[tuple[str, str]]:
    from textleak.models.packaged import DECODER, ENCODER
    from textleak.models.presets import SIZES

    sizes = [
        (name, f"random weights, {layers} layers of width {width}, {heads} heads")
        for name, (layers, width, heads) in SIZES.items()
    ]
    packaged = [
        (ENCODER, "packaged BERT, pre-trained, 6 layers of width 384, 12 heads"),
        (DECODER, "packaged Llama (SmolLM2-135M), pre-trained, 30 layers of width 576, 9 heads"),
    ]
    return [*packaged, *sizes]


def _image_models() -> list[tuple[str, str]]:
    from textleak.vision.models import ImageModelOptions, load_image_model
    from textleak.vision.models.loading import NETWORKS

    rows = []
    for name, build in NETWORKS.items():
        model = load_image_model(ImageModelOptions(name=name, shape=(1, 12, 12)))
        layers = list(dict.fromkeys(key.rpartition(".")[0] for key in model.parameters))
        shown = layers if len(layers) <= 5 else [*layers[:3], "…", layers[-1]]
        what = _first_line(getattr(build, "func", build).__doc__)
        rows += [(name, what), ("", f"layers, as --share names them: {', '.join(shown)}")]
    return rows


def _tasks() -> list[tuple[str, str]]:
    from textleak.tasks import TASKS, TEXT_TASKS

    return [(name, _first_line(TASKS.load(name).__doc__)) for name in TEXT_TASKS]


def _activations() -> list[tuple[str, str]]:
    from textleak.models.activations import ACTIVATIONS

    return [(name, "") for name in ACTIVATIONS]


def _presets() -> list[tuple[str, str]]:
    from .config_file import preset_names, preset_summary

    return [(name, preset_summary(name)) for name in preset_names()]


def _grids() -> list[tuple[str, str]]:
    from .config_file import grid_names, preset_summary

    return [(name, preset_summary(name)) for name in grid_names()]


def _image_presets() -> list[tuple[str, str]]:
    from textleak.core.image_config import ImageRunConfig

    from .config_file import preset_names, preset_summary

    return [(name, preset_summary(name)) for name in preset_names(ImageRunConfig)]


def _image_grids() -> list[tuple[str, str]]:
    from .config_file import IMAGE_GRIDS, grid_names, preset_summary

    return [(name, preset_summary(name)) for name in grid_names(IMAGE_GRIDS)]


def _metrics() -> list[tuple[str, str]]:
    from textleak.metrics import METRICS

    return [(name, METRICS.load(name).says) for name in METRICS]


KINDS: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "attacks": _attacks,
    "image-attacks": _image_attacks,
    "defences": _defences,
    "readers": _readers,
    "options": _options,
    "image-options": _image_options,
    "models": _models,
    "families": _families,
    "image-models": _image_models,
    "tasks": _tasks,
    "activations": _activations,
    "presets": _presets,
    "grids": _grids,
    "image-presets": _image_presets,
    "image-grids": _image_grids,
    "metrics": _metrics,
}


@app.command()
def list_names(
    kind: Annotated[str | None, typer.Argument(help=f"One of {', '.join(KINDS)}.")] = None,
) -> int:
    """List the names that options take: attacks, defences, their options, models, presets, metrics."""
    if kind is not None and kind not in KINDS:
        raise ConfigError(unknown("list", kind, KINDS))
    for name in [kind] if kind else list(KINDS):
        rows = KINDS[name]()
        width = max((len(key) for key, _ in rows), default=0)
        say(f"{name}:")
        for key, text in rows:
            say(f"  {key.ljust(width)}  {text}".rstrip())
    return 0


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().split("\n")[0]
