"""Gradient matching for text: the paper's settings (`dlg-paper`) and those that work (`dlg`)."""

from textleak.attacks.dlg.attack import Dlg, DlgPaper
from textleak.attacks.dlg.options import DlgOptions, DlgPaperOptions

__all__ = ["Dlg", "DlgOptions", "DlgPaper", "DlgPaperOptions"]
