"""textleak: how much private text leaks from the gradients that training shares."""

__version__ = "0.1.0"
