"""LAMP: Extracting Text from Gradients with Language Model Priors (Balunović et al., NeurIPS 2022)."""

from textleak.attacks.lamp.attack import Lamp
from textleak.attacks.lamp.options import LampOptions

__all__ = ["Lamp", "LampOptions"]
