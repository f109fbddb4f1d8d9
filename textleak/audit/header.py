"""What a run assumes, whatever it recovers: the part of its header that its model does not say."""

from __future__ import annotations

from typing import Any

from textleak.attacks.base import BaseAttack
from textleak.core.config import RunConfig
from textleak.core.image_config import ImageRunConfig
from textleak.core.update import UpdateMetadata
from textleak.defences import Defences
from textleak.results.header import UpdateSource, versions
from textleak.updates import Fitted


def assumed(
    command: str,
    config: RunConfig | ImageRunConfig,
    attack: BaseAttack[Any, Any, Any, Any],
    received: Fitted | None,
) -> dict[str, Any]:
    """Fields of a `RunHeader`: the command, the attack, what is granted, what the client does.

    Args:
        command: the command that runs it.
        config: the run's configuration.
        attack: the attack with its options.
        received: an update from elsewhere, which says these itself; the client of `config` makes its
            own where None.
    """
    seeded = config.client_seed is not None
    if received is None:
        defences = Defences.parse(config.stated)
        said = UpdateMetadata(
            threat_model=defences.assumed(config.threat_model),
            defences=defences.specs,
            privacy=defences.promise(seeded=seeded),
            client_seeded=seeded,
        )
    else:
        said = received.update.metadata
    return dict(
        command=command,
        attack=config.attack,
        options=attack.options.model_dump(mode="json"),
        threat_model=said.threat_model,
        defences=said.defences,
        privacy=said.privacy,
        seed=config.seed,
        client_seeded=said.client_seeded,
        client_seed=None if received is not None else config.client_seed,
        update=None if received is None else UpdateSource(kind=received.kind, notes=received.notes),
        versions=versions(),
    )
