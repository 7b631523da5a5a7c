"""`kubectl uncordon`."""

from pylet.cli.kubectl.nodes import command

VERB = command("uncordon", unschedulable=False)
