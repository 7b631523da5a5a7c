"""`pylet kubectl`: prints what kubectl prints. One file per command in here, each declaring `VERB`."""

from pylet.cli.kubectl.command import KubectlGroup

VERB = KubectlGroup(
    "kubectl",
    package=__name__,
    help="Control the cluster, as kubectl does.",
)
