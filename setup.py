"""The two top-level folders that must not claim the names `cli` and `configs` once installed."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["textleak", "textleak.*"]),
        "textleak_cli",
        "textleak_configs",
    ],
    package_dir={"textleak_cli": "cli", "textleak_configs": "configs"},
)
