"""`kubectl label`."""

from pylet.cli.kubectl.metadata import LABEL, command

VERB = command(LABEL)
