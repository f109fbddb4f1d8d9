"""A callback for transformers' Trainer that writes the gradients of chosen steps."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from textleak.integrations.loop import save_gradients


def recording_callback(folder: str | Path, steps: Collection[int] = (1,)) -> Any:
    """A `TrainerCallback` that writes what chosen steps would share, as `step-N.safetensors`.

    The gradients are those that the optimiser sees: accumulated, averaged, clipped.

    Args:
        folder: where the files go; made where it is not there.
        steps: which optimiser steps, counted from 1.
    """
    from transformers import TrainerCallback  # imports much that no other part needs

    class Recording(TrainerCallback):  # type: ignore[misc, unused-ignore]
        """Writes gradients just before the optimiser steps."""

        def on_pre_optimizer_step(
            self, args: Any, state: Any, control: Any, model: Any = None, **more: Any
        ) -> None:
            step = int(state.global_step) + 1
            if step in steps and bool(state.is_world_process_zero):
                Path(folder).mkdir(parents=True, exist_ok=True)
                save_gradients(model, Path(folder) / f"step-{step}.safetensors")

    return Recording()
