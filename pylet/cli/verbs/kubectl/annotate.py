"""`kubectl annotate`."""

from pylet.cli.kubectl.metadata import ANNOTATE, command

VERB = command(ANNOTATE)
