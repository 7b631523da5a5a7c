"""The rules for what depends on other fields, by definition: Go's SetDefaults_* functions.

Objects arrive decoded (schema.node), so an absent field is an unset one, and with their plain values (default_values).
A definition's rule runs before those of the fields inside it. Sources: pkg/apis/*/v1/defaults.go, and conversion.go
where v1 has two names for one thing (serviceAccount, podIP, podCIDR, stringData).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Final

from pylet.api import podresources
from pylet.api.containers import planned
from pylet.api.object import Object
from pylet.api.remembered import remembered

Rule = Callable[[Object], None]
_RBAC: Final = "rbac.authorization.k8s.io"

_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE: Final = re.compile(
    r"(?:(?=localhost[:/]|[^/]*[.:A-Z])(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?"
    rf"{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?(?:@[A-Za-z][\w+.-]*:[0-9a-fA-F]{{32,}})?",
    re.ASCII,
)


def _pod(pod: Object) -> None:
    spec = pod["spec"]
    containers = list(planned(spec))
    for container in containers:
        resources = container.get("resources") or {}
        if "limits" in resources:
            requests = resources.setdefault("requests", {})
            for name, amount in resources["limits"].items():
                requests.setdefault(name, amount)
    podresources.default(pod)
    spec.setdefault("enableServiceLinks", True)
    if spec.get("hostNetwork"):
        for container in containers:
            for port in container.get("ports") or ():
                port.setdefault("hostPort", port.get("containerPort", 0))


def _pod_spec(spec: Object) -> None:
    spec.setdefault("securityContext", {})
    spec.pop("schedulingGroup", None)  # behind GenericWorkload, which is off
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def _pod_status(status: Object) -> None:
    ip, ips = status.get("podIP"), status.get("podIPs")
    if ip and (not ips or ips[0].get("ip") != ip):
        status["podIPs"] = [{"ip": ip}]
    elif ips and not ip:
        status["podIP"] = ips[0].get("ip", "")


def _container(container: Object) -> None:
    if "imagePullPolicy" not in container:
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    if container.get("lifecycle", {}).keys() == {"stopSignal"}:
        del container["lifecycle"]


@remembered(1024)
def pull_policy(image: str) -> str:
    """Always for the tag `latest`, written or implied; IfNotPresent for any other tag or a digest."""
    name, at, _digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if tag != "latest" and (tag or at or not name):
        return "IfNotPresent"
    return "Always" if _IMAGE.fullmatch(image) else "IfNotPresent"  # what is no image's name has no tag


def _lifecycle(lifecycle: Object) -> None:
    lifecycle.pop("stopSignal", None)  # behind ContainerStopSignals, which is off


def _projection(projection: Object) -> None:
    projection.pop("clusterTrustBundle", None)  # behind ClusterTrustBundleProjection, which is off
    projection.pop("podCertificate", None)  # behind PodCertificateRequest, which is off


def _volume(volume: Object) -> None:
    if not any(source != "name" for source in volume):
        volume["emptyDir"] = {}
    image = volume.get("image")
    if image is not None and "pullPolicy" not in image:
        image["pullPolicy"] = pull_policy(image.get("reference", ""))


def _service(service: Object) -> None:
    spec = service["spec"]
    type_ = spec.setdefault("type", "ClusterIP")
    match spec.setdefault("sessionAffinity", "None"):
        case "None":
            spec.pop("sessionAffinityConfig", None)
        case "ClientIP":
            client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
            if "timeoutSeconds" not in client:
                spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    for port in spec.get("ports") or ():
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port", 0)
    external = type_ in ("NodePort", "LoadBalancer") or (type_ == "ClusterIP" and spec.get("externalIPs"))
    if external:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if type_ in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if type_ == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for ingress in service["status"].get("loadBalancer", {}).get("ingress") or ():
            if ingress.get("ip"):
                ingress.setdefault("ipMode", "VIP")


def _namespace(namespace: Object) -> None:
    name = namespace["metadata"].get("name")
    if name:
        namespace["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name


def _node_spec(spec: Object) -> None:
    cidr, cidrs = spec.get("podCIDR"), spec.get("podCIDRs")
    if cidr and (not cidrs or cidrs[0] != cidr):
        spec["podCIDRs"] = [cidr]
    elif cidrs and not cidr:
        spec["podCIDR"] = cidrs[0]


def _node_status(status: Object) -> None:
    if "capacity" in status and "allocatable" not in status:
        status["allocatable"] = dict(status["capacity"])


def _secret(secret: Object) -> None:
    written = secret.pop("stringData", None)
    if written:
        data = secret.setdefault("data", {})
        for name, text in written.items():
            data[name] = base64.b64encode(text.encode()).decode()


def _deployment_strategy(strategy: Object) -> None:
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")


def _daemonset(daemonset: Object) -> None:
    """`spec.templateGeneration` lives on in an annotation, which whoever writes the object without it writes, too."""
    annotations = daemonset["metadata"].get("annotations") or {}
    daemonset["metadata"]["annotations"] = {"deprecated.daemonset.template.generation": "0", **annotations}


def _daemonset_strategy(strategy: Object) -> None:
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)


def _statefulset_spec(spec: Object) -> None:
    strategy = spec["updateStrategy"]
    if "type" not in strategy:
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and "rollingUpdate" in strategy:
        strategy["rollingUpdate"].setdefault("partition", 0)
    spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    for claim in spec.get("volumeClaimTemplates") or ():
        claim |= {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}


def _job(job: Object) -> None:
    labels = (job["spec"].setdefault("template", {}).get("metadata") or {}).get("labels")
    if labels and not job["metadata"].get("labels"):
        job["metadata"]["labels"] = labels  # the same map, as upstream: it gets what the template's labels get
    _job_spec(job["spec"])


def _job_spec(spec: Object) -> None:
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 2**31 - 1 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    spec.setdefault("manualSelector", False)


def _pod_failure_condition(pattern: Object) -> None:
    if not pattern.get("status"):
        pattern["status"] = "True"


def _persistent_volume(volume: Object) -> None:
    """Not of the spec itself: a VolumeAttachment's inline one has no defaults."""
    spec = volume["spec"]
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")


def _replication_controller(controller: Object) -> None:
    spec = controller["spec"]
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        if not controller["metadata"].get("labels"):
            controller["metadata"]["labels"] = dict(labels)


def _limit_range_item(limit: Object) -> None:
    if limit.get("type") != "Container":
        return
    for name, sources in (("default", ("max",)), ("defaultRequest", ("default", "min"))):
        filled: Object = {}
        for source in sources:
            filled = {**(limit.get(source) or {}), **filled}
        if filled or limit.get(name):
            limit[name] = {**filled, **(limit.get(name) or {})}


_SCALE_UP: Final = (("Pods", 4), ("Percent", 100))
_SCALE_DOWN: Final = (("Percent", 100),)


def _autoscaler(spec: Object) -> None:
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is not None:
        for direction, policies in (("scaleUp", _SCALE_UP), ("scaleDown", _SCALE_DOWN)):
            rules = behavior.setdefault(direction, {})
            if direction == "scaleUp":
                rules.setdefault("stabilizationWindowSeconds", 0)
            rules.setdefault("selectPolicy", "Max")
            if "policies" not in rules:
                rules["policies"] = [{"type": kind, "value": value, "periodSeconds": 15} for kind, value in policies]


def _role_binding(binding: Object) -> None:
    if not binding["roleRef"].get("apiGroup"):
        binding["roleRef"]["apiGroup"] = _RBAC


def _subject(subject: Object) -> None:
    if subject.get("kind") in ("User", "Group"):
        subject.setdefault("apiGroup", _RBAC)


def _network_policy(policy: Object) -> None:
    spec = policy["spec"]
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _selectors(of: Object) -> None:
    of.setdefault("namespaceSelector", {})
    of.setdefault("objectSelector", {})


def _match_resources(of: Object) -> None:
    of.setdefault("matchPolicy", "Equivalent")
    _selectors(of)


def _device_request(request: Object) -> None:
    if not request.get("allocationMode"):
        request["allocationMode"] = "ExactCount"
    if request["allocationMode"] == "ExactCount" and not request.get("count"):
        request["count"] = 1


def _device_toleration(toleration: Object) -> None:
    if not toleration.get("operator"):
        toleration["operator"] = "Equal"


def _flow_schema(spec: Object) -> None:
    if not spec.get("matchingPrecedence"):
        spec["matchingPrecedence"] = 1000


def _queuing(of: Object) -> None:
    for name, value in (("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)):
        if not of.get(name):
            of[name] = value


def _csi_driver(spec: Object) -> None:
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def _custom_definition(spec: Object) -> None:
    names = spec.get("names") or {}
    if kind := names.get("kind"):
        names.setdefault("singular", kind.lower())
        names.setdefault("listKind", f"{kind}List")
    spec.setdefault("conversion", {"strategy": "None"})


RULES: Final[Mapping[str, Rule]] = {
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionSpec": _custom_definition,
    "admissionregistration.v1.MatchResources": _match_resources,
    "admissionregistration.v1.MutatingWebhook": _selectors,
    "admissionregistration.v1.ValidatingWebhook": _selectors,
    "apps.v1.DaemonSet": _daemonset,
    "apps.v1.DaemonSetUpdateStrategy": _daemonset_strategy,
    "apps.v1.DeploymentStrategy": _deployment_strategy,
    "apps.v1.StatefulSetSpec": _statefulset_spec,
    "autoscaling.v2.HorizontalPodAutoscalerSpec": _autoscaler,
    "batch.v1.Job": _job,
    "batch.v1.PodFailurePolicyOnPodConditionsPattern": _pod_failure_condition,
    "core.v1.Container": _container,
    "core.v1.EphemeralContainer": _container,
    "core.v1.LimitRangeItem": _limit_range_item,
    "core.v1.Lifecycle": _lifecycle,
    "core.v1.Namespace": _namespace,
    "core.v1.NodeSpec": _node_spec,
    "core.v1.NodeStatus": _node_status,
    "core.v1.PersistentVolume": _persistent_volume,
    "core.v1.Pod": _pod,
    "core.v1.PodSpec": _pod_spec,
    "core.v1.PodStatus": _pod_status,
    "core.v1.ReplicationController": _replication_controller,
    "core.v1.Secret": _secret,
    "core.v1.Service": _service,
    "core.v1.Volume": _volume,
    "core.v1.VolumeProjection": _projection,
    "flowcontrol.v1.FlowSchemaSpec": _flow_schema,
    "flowcontrol.v1.QueuingConfiguration": _queuing,
    "networking.v1.NetworkPolicy": _network_policy,
    "rbac.v1.ClusterRoleBinding": _role_binding,
    "rbac.v1.RoleBinding": _role_binding,
    "rbac.v1.Subject": _subject,
    "resource.v1.DeviceSubRequest": _device_request,
    "resource.v1.DeviceToleration": _device_toleration,
    "resource.v1.ExactDeviceRequest": _device_request,
    "storage.v1.CSIDriverSpec": _csi_driver,
}
