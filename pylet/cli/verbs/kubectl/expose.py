"""`kubectl expose`: a Service for a pod, a workload or another Service."""

from __future__ import annotations

from typing import Any

from pylet.api.object import labels_of
from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, making, services, writing
from pylet.cli.kubectl.command import KubectlCommand, arguments, text
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target

_LONGEST_NAME = 63


def _run(session: Session, args: tuple[str, ...], **options: Any) -> None:
    failures = Collected()
    for target in writing.choose_written(session, args, options, failures):
        _expose(session, target, options)
    failures.finish()


def _expose(session: Session, target: Target, options: dict[str, Any]) -> None:
    obj = target.obj
    services.refuse_unexposable(obj, target.resource.group)
    selector = making.labels_of(options["selector"]) or services.selector_of(obj)
    found = services.ports_of(obj)
    headless = options["cluster_ip"] == "None"
    if not options["port"] and not found and not headless:
        raise Failure("error: couldn't find port via --port flag or introspection")
    labels = making.labels_of(options["labels"]) or labels_of(obj)
    name = options["name"] or target.name[:_LONGEST_NAME]
    made = services.service(name, labels, selector, services.service_ports(found, options))
    for field, value in (
        ("type", options["type"]),
        ("externalIPs", [options["external_ip"]] if options["external_ip"] else None),
        ("sessionAffinity", options["session_affinity"]),
        ("clusterIP", options["cluster_ip"]),
        ("loadBalancerIP", options["load_balancer_ip"]),
    ):
        if value:
            made["spec"][field] = value
    made = making.overridden(made, options["overrides"], options["override_type"])
    making.make(session, made, options, manager="kubectl-expose", operation="exposed")


VERB = KubectlCommand(
    "expose",
    _run,
    [
        text("port", help="The Service's port; the object's own when not given."),
        text("target-port", help="Port or name in the container."),
        text("protocol", help="TCP, UDP or SCTP."),
        text("name", help="The Service's name; the object's own when not given."),
        text("type", help="ClusterIP, NodePort, LoadBalancer or ExternalName."),
        text("selector", help="Labels of the pods; the object's own when not given."),
        text("labels", "l", help="Labels of the Service."),
        text("external-ip", help="An address outside of the cluster to answer on."),
        text("load-balancer-ip", help="Address of the load balancer."),
        text("session-affinity", help="None or ClientIP."),
        text("cluster-ip", help="The address, None for a headless Service."),
        text("overrides", help="JSON to change the Service with."),
        text("override-type", default="merge", help="json, merge or strategic."),
        *flags.FILES,
        *flags.WRITING,
        flags.SAVE_CONFIG,
        arguments(),
    ],
    help="Make a Service for a pod or workload.",
)
