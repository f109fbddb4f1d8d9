"""YAML presets for `textleak attack --config NAME`, installed as `textleak_configs`."""
