"""Exact recovery from the update of a causal model: a tree of prefixes, grown word by word."""
