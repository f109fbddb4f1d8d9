"""A run on images as the command line conducts it: prepared, shown, kept, and written at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from textleak.audit.setup import checked_device
from textleak.core.cores import threads_for
from textleak.core.errors import ConfigError, unknown
from textleak.core.events import Event
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate
from textleak.core.validation import validated
from textleak.defences import Defences
from textleak.results.header import RunHeader, versions
from textleak.vision.attacks import IMAGE_ATTACKS, ImageAttack
from textleak.vision.audit import audit
from textleak.vision.client import ImageClient, PrivateImages
from textleak.vision.config import ImageRunConfig
from textleak.vision.data import LoadedImages, load_images
from textleak.vision.models import ImageModel, load_image_model
from textleak.vision.report.folder import ImageRunFolder
from textleak.vision.report.history import ImageHistory
from textleak.vision.report.progress import ImageProgress
from textleak.vision.report.record import image_record
from textleak.vision.report.screen import ImageScreen
from textleak.vision.report.views import final_view, gallery

from .output import Output

INTERRUPTED = 130


@dataclass(frozen=True)
class ImageRun:
    """Everything that a run needs, checked and loaded; `private` is None where the truth is not known."""

    config: ImageRunConfig
    header: RunHeader
    model: ImageModel
    attack: ImageAttack[Any]
    private: PrivateImages | None
    update: SharedUpdate


def prepare(config: ImageRunConfig) -> ImageRun:
    """Check what was asked for, load pictures and model, and share the update.

    Raises:
        ConfigError: an option that is not valid.
        DataError: pictures that cannot be used.
        ModelError: a model that cannot be loaded.
    """
    attack = build_attack(config)
    shared = share(config)
    header = header_of(
        "vision attack", config, shared.model, attack, shared.update, shared.images.notes
    )
    return ImageRun(config, header, shared.model, attack, shared.private, shared.update)


@dataclass(frozen=True)
class SharedImages:
    """Pictures as they were loaded, the model that was trained on them, and what was shared."""

    images: LoadedImages
    model: ImageModel
    private: PrivateImages
    update: SharedUpdate


def share(config: ImageRunConfig) -> SharedImages:
    """Load the pictures and the model of `config`, and share the update.

    Raises:
        ConfigError: an option that is not valid.
        DataError: pictures that cannot be used.
        ModelError: a model that cannot be loaded.
    """
    defences = Defences.parse(config.defences)
    torch.set_num_threads(threads_for(config.threads))
    images = load_images(config.images)
    model = load_image_model(config.classifier(images, checked_device(config.device)))
    threat_model = ThreatModel(lengths=False, labels=config.labels_known, shared=config.share)
    client = ImageClient(model, threat_model, seed=config.client_seed, defences=defences)
    private = client.prepare(images.pixels, _labels(config, images))
    return SharedImages(images, model, private, client.share(private))


def header_of(
    command: str,
    config: ImageRunConfig,
    model: ImageModel,
    attack: ImageAttack[Any],
    update: SharedUpdate,
    notes: tuple[str, ...] = (),
) -> RunHeader:
    """What a run of `attack` on `update` assumes; `notes` say what was done to the pictures."""
    said, recipe = update.metadata, model.recipe
    return RunHeader(
        command=command,
        attack=config.attack,
        options=attack.options.model_dump(mode="json"),
        model=config.model,
        weights=recipe.weights if recipe else "given",
        weights_seed=recipe.weights_seed if recipe else config.weights_seed,
        activation=recipe.activation if recipe else config.activation,
        task="image",
        threat_model=said.threat_model,
        defences=said.defences,
        privacy=said.privacy,
        seed=config.seed,
        client_seeded=said.client_seeded,
        client_seed=config.client_seed,
        model_notes=(*model.notes, *notes),
        versions=versions(),
    )


def conduct(output: Output, run: ImageRun) -> int:
    """Attack with everything watching, write what was asked for, return the exit code."""
    folder = None if output.save is None else ImageRunFolder(output.save)
    truth = None if run.private is None else run.private.batch.pixels.cpu()
    progress = ImageProgress(run.header, truth)
    history = ImageHistory(run.config.every)
    screen = ImageScreen(output.console, progress, output.mode, run.config.every)

    def watch(event: Event) -> None:
        screen.event(event)
        history.event(event, progress.psnr, progress.labels)
        if folder is not None:
            folder.event(event)

    try:
        if folder is not None:
            folder.start(run.update, run.header, run.config.model_dump(mode="json"))
        for warning in run.model.warnings():
            output.say(f"warning: {warning}")
        with screen:
            result = run.attack(
                run.model,
                run.update,
                seed=run.config.seed,
                budget=run.config.budget,
                on_event=watch,
            )
        scored = audit(result, run.private)
        record = image_record(run.header, result, scored, history.rows)
        views = [final_view(record)]
        if output.mode == "live":
            views.append(gallery(progress))
        finish = None if folder is None else lambda: folder.finish(scored, record)
        output.deliver(record.to_json(), views, finish)
        return INTERRUPTED if result.interrupted else 0
    finally:
        if folder is not None:
            folder.close()


def build_attack(config: ImageRunConfig) -> ImageAttack[Any]:
    """The attack of `config` with its options.

    Raises:
        ConfigError: no such attack, an unknown option, or a value that is not valid.
    """
    kind = IMAGE_ATTACKS.load(config.attack)
    schema = kind.options_class
    for key in config.options:
        if key not in schema.model_fields:
            raise ConfigError(unknown(f"option of {config.attack}", key, schema.model_fields))
    return kind(validated(schema, config.options, f"option of {config.attack}: "))


def _labels(config: ImageRunConfig, images: LoadedImages) -> list[int | None]:
    return list(config.labels) if config.labels is not None else images.labels
