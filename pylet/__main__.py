"""`python -m pylet` is `pylet`."""

from pylet.cli import main

main()
