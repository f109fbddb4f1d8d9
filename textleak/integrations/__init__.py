"""Recording, inside a user's own training, what it would share: for a plain loop, for Trainer.

    with record(model, "update.safetensors"):
        loss.backward()
        optimizer.step()

    Trainer(..., callbacks=[recording_callback("updates", steps=(1, 100))])

`textleak invert update.safetensors --model …` audits what was written.
"""

from textleak.integrations.loop import record, save_gradients
from textleak.integrations.trainer import recording_callback

__all__ = ["record", "recording_callback", "save_gradients"]
