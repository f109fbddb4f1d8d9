"""Measurements of textleak's own cost."""
