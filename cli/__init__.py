"""Thin commands over the library, installed as `textleak_cli`."""
