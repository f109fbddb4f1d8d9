"""`python -m textleak_cli` is `textleak`."""

from .main import main

main()
