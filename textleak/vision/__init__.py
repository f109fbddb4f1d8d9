"""The image half of *Deep Leakage from Gradients*, in the words of the text half.

    private images ─▶ ImageClient ─▶ [Defence …] ─▶ SharedUpdate ─▶ ImageAttack ─▶ reconstruction

The update, the defences, the registry and the gradient engine are the text side's own.
"""
