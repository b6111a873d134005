"""`python -m modelbay` is the command `modelbay`."""

from modelbay.cli import main

main()
