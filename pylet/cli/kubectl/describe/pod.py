"""The description of a Pod."""

from pylet.api.object import Object, dig
from pylet.api.podtemplate import TERMINAL
from pylet.api.qos import qos_class
from pylet.cli.kubectl.describe import podspec, volumes
from pylet.cli.kubectl.describe.page import Page, when


def describe(page: Page, pod: Object) -> None:
    spec, status, meta = pod["spec"], pod.get("status") or {}, pod["metadata"]
    page.head(pod)
    if "priority" in spec:
        page.write(f"Priority:\t{spec['priority']}")
    page.fields(
        spec,
        ("Priority Class Name", "priorityClassName"),
        ("Runtime Class Name", "runtimeClassName"),
        ("Service Account", "serviceAccountName"),
    )
    node = spec.get("nodeName")
    page.write(f"Node:\t{node}/{status.get('hostIP', '')}" if node else "Node:\t<none>")
    if status.get("startTime"):
        page.write(f"Start Time:\t{when(status['startTime'])}")
    page.labelled(pod)
    phase = status.get("phase", "")
    if meta.get("deletionTimestamp") and phase not in TERMINAL:
        page.write(f"Status:\tTerminating (lasts {page.age(meta['deletionTimestamp'])})")
        page.write(f"Termination Grace Period:\t{meta.get('deletionGracePeriodSeconds', 0)}s")
    else:
        page.write(f"Status:\t{phase}")
    page.fields(status, ("Reason", "reason"), ("Message", "message"))
    page.fields(dig(spec, "securityContext", "seccompProfile", default={}), ("SeccompProfile", "type"))
    _addresses(page, status)
    page.controlled_by(pod)
    page.fields(status, ("NominatedNodeName", "nominatedNodeName"))
    for title, field in (
        ("Init Containers", "initContainers"),
        ("Containers", "containers"),
        ("Ephemeral Containers", "ephemeralContainers"),
    ):
        if spec.get(field):
            statuses = status.get(field.replace("ontainers", "ontainerStatuses")) or ()
            podspec.containers(page, title, spec[field], statuses, pod=pod)
    _conditions(page, pod)
    volumes.write(page, spec.get("volumes") or ())
    page.write(f"QoS Class:\t{status.get('qosClass') or qos_class(pod)}")
    page.labels("Node-Selectors", spec.get("nodeSelector"))
    podspec.tolerations(page, "Tolerations", spec.get("tolerations") or ())
    page.events(pod)


def _addresses(page: Page, status: Object) -> None:
    page.write(f"IP:\t{status.get('podIP', '')}")
    addresses = status.get("podIPs") or ()
    page.write("IPs:" if addresses else "IPs:\t<none>")
    for address in addresses:
        page.write(f"IP:\t{address['ip']}", 1)


def _conditions(page: Page, pod: Object) -> None:
    conditions = dig(pod, "status", "conditions", default=())
    if gates := pod["spec"].get("readinessGates"):
        known = {condition["type"]: condition["status"] for condition in conditions}
        page.write("Readiness Gates:\n  Type\tStatus")
        for gate in gates:
            page.write(f"{gate['conditionType']} \t{known.get(gate['conditionType'], '<none>')} ", 1)
    if conditions:
        page.write("Conditions:\n  Type\tStatus")
        for condition in conditions:
            page.write(f"{condition['type']} \t{condition['status']} ", 1)
