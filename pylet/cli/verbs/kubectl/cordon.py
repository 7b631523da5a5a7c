"""`kubectl cordon`."""

from pylet.cli.kubectl.nodes import command

VERB = command("cordon", unschedulable=True)
