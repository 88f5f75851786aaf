"""``python -m badgateway``."""

from badgateway.cli import main

main()
