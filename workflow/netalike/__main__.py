"""`python -m netalike`."""

from netalike.cli import main

main()
