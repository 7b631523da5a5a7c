"""What is wrong with objects, in upstream's words: field, kind of error, message."""

from copy import deepcopy
from typing import Any

import pytest

from pylet.api import kinds, schema
from pylet.api.kind import Kind
from pylet.api.object import Object


def kind_of(plural: str, group: str = "", version: str = "v1") -> Kind:
    kind = kinds.by_resource(group, version, plural)
    assert kind is not None
    return kind


POD = kind_of("pods")
SERVICE = kind_of("services")
DEPLOYMENT = kind_of("deployments", "apps")
REPLICA_SET = kind_of("replicasets", "apps")
CONFIG_MAP = kind_of("configmaps")
SECRET = kind_of("secrets")
ROLE = kind_of("roles", "rbac.authorization.k8s.io")
CLUSTER_ROLE = kind_of("clusterroles", "rbac.authorization.k8s.io")
ROLE_BINDING = kind_of("rolebindings", "rbac.authorization.k8s.io")
SLICE = kind_of("endpointslices", "discovery.k8s.io")
CSR = kind_of("certificatesigningrequests", "certificates.k8s.io")
NODE = kind_of("nodes")
RUNTIME_CLASS = kind_of("runtimeclasses", "node.k8s.io")
CLAIM_TEMPLATE = kind_of("resourceclaimtemplates", "resource.k8s.io")


def made(kind: Kind, obj: Object) -> Object:
    """The object as the registry has it when it validates."""
    obj = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": "x"}, **deepcopy(obj)}
    assert schema.of(kind.definition).decode(obj) == []
    schema.default(kind.definition, obj)
    kind.strategy.prepare_create(obj)
    return obj


def pod(**spec: Any) -> Object:
    return {"spec": {"containers": [{"name": "a", "image": "i"}], **spec}}


def container(**fields: Any) -> Object:
    return {"spec": {"containers": [{"name": "a", "image": "i", **fields}], "volumes": [{"name": "v"}]}}


def service(**spec: Any) -> Object:
    return {"spec": {"ports": [{"port": 80}], **spec}}


def deployment(**spec: Any) -> Object:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": pod()["spec"]}
    return {"spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template, **spec}}


LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', "
    "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', "
    "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_KEY = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', "
    "regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
ANTI_AFFINITY = "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution"
REQUEST = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KQQotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K"


@pytest.mark.parametrize(
    ("kind", "obj", "says"),
    [
        pytest.param(POD, pod(), [], id="a plain pod"),
        pytest.param(POD, {}, ["spec.containers: Required value"], id="no containers"),
        pytest.param(
            POD,
            {"spec": {"containers": [{}]}},
            ["spec.containers[0].name: Required value", "spec.containers[0].image: Required value"],
            id="an empty container",
        ),
        pytest.param(
            POD,
            container(name="A_b"),
            [f'spec.containers[0].name: Invalid value: "A_b": {LABEL}'],
            id="a container's bad name",
        ),
        pytest.param(
            POD,
            pod(initContainers=[{"name": "a", "image": "i"}]),
            ['spec.initContainers[0].name: Duplicate value: "a"'],
            id="a name twice",
        ),
        pytest.param(
            POD,
            pod(restartPolicy="Sometimes"),
            ['spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'],
            id="an unknown restart policy",
        ),
        pytest.param(
            POD,
            container(
                ports=[
                    {"containerPort": 0},
                    {"containerPort": 99999, "name": "http"},
                    {"containerPort": 1, "name": "http"},
                ]
            ),
            [
                "spec.containers[0].ports[0].containerPort: Required value",
                "spec.containers[0].ports[1].containerPort: Invalid value: 99999: must be "
                "between 1 and 65535, inclusive",
                'spec.containers[0].ports[2].name: Duplicate value: "http"',
            ],
            id="bad ports",
        ),
        pytest.param(
            POD,
            container(
                env=[
                    {"name": "", "value": "x"},
                    {"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "spec.foo"}}},
                    {"name": "C", "valueFrom": {"configMapKeyRef": {"key": "k"}}},
                ]
            ),
            [
                "spec.containers[0].env[0].name: Required value",
                'spec.containers[0].env[1].valueFrom: Invalid value: "": may not be specified '
                "when `value` is not empty",
                'spec.containers[0].env[2].valueFrom.fieldRef.fieldPath: Invalid value: "spec.foo": '
                "error converting fieldPath: field label not supported: spec.foo",
                f'spec.containers[0].env[3].valueFrom.configMapKeyRef.name: Invalid value: "": {SUBDOMAIN}',
            ],
            id="bad environment",
        ),
        pytest.param(
            POD,
            pod(
                volumes=[{"name": "v", "emptyDir": {}}, {"name": "w", "secret": {"secretName": "s"}}],
                containers=[
                    {
                        **pod()["spec"]["containers"][0],
                        "env": [
                            {"name": name, "valueFrom": {"fileKeyRef": {"volumeName": name, "path": "p", "key": "K"}}}
                            for name in ("v", "w", "x")
                        ],
                    }
                ],
            ),
            [
                "spec.containers[0].env[1].valueFrom.fileKeyRef.volumeName: "
                'Invalid value: "w": referenced volume must be of type emptyDir',
                'spec.containers[0].env[2].valueFrom.fileKeyRef.volumeName: Not found: "x"',
            ],
            id="variables out of files that are in no emptyDir",
        ),
        pytest.param(
            POD,
            container(volumeMounts=[{"name": "w", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}]),
            [
                'spec.containers[0].volumeMounts[0].name: Not found: "w"',
                'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique',
            ],
            id="bad mounts",
        ),
        pytest.param(
            POD,
            pod(volumes=[{"name": "a", "emptyDir": {}, "hostPath": {"path": "/"}}, {"name": "b", "configMap": {}}]),
            [
                "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
                "spec.volumes[1].configMap.name: Required value",
            ],
            id="bad volumes",
        ),
        pytest.param(
            POD,
            container(resources={"requests": {"cpu": "2", "foo": "1"}, "limits": {"cpu": "1", "example.com/gpu": "1"}}),
            [
                'spec.containers[0].resources.requests[foo]: Invalid value: "foo": '
                "must be a standard resource type or fully qualified",
                'spec.containers[0].resources.requests[foo]: Invalid value: "foo": '
                "must be a standard resource for containers",
                'spec.containers[0].resources.requests: Invalid value: "2": must be less than or '
                "equal to cpu limit of 1",
            ],
            id="requests past limits",
        ),
        pytest.param(
            POD,
            container(
                livenessProbe={"successThreshold": 2, "httpGet": {"port": 0}}, readinessProbe={"periodSeconds": -1}
            ),
            [
                "spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be "
                "between 1 and 65535, inclusive",
                "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
                "spec.containers[0].readinessProbe: Required value: must specify a handler type",
                "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be "
                "greater than or equal to 0",
            ],
            id="bad probes",
        ),
        pytest.param(
            POD,
            pod(tolerations=[{"operator": "Equal"}, {"key": "a", "operator": "Exists", "value": "b"}]),
            [
                'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, '
                'which means "match all values and all keys"',
                "spec.tolerations[1].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
            ],
            id="bad tolerations",
        ),
        pytest.param(
            POD,
            pod(affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}),
            [
                f"{ANTI_AFFINITY}[0].topologyKey: Required value: can not be empty",
                f'{ANTI_AFFINITY}[0].topologyKey: Invalid value: "": name part must be non-empty',
                f'{ANTI_AFFINITY}[0].topologyKey: Invalid value: "": name part {LABEL_KEY}',
            ],
            id="anti-affinity without a topology",
        ),
        pytest.param(
            POD,
            pod(
                hostNetwork=True,
                containers=[{"name": "a", "image": "i", "ports": [{"containerPort": 1, "hostPort": 2}]}],
            ),
            [
                "spec.containers[0].ports[0].hostPort: Invalid value: 2: "
                "must match `containerPort` when `hostNetwork` is true"
            ],
            id="another port on the host's network",
        ),
        pytest.param(
            POD,
            pod(dnsPolicy="None"),
            ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
            id="no DNS at all",
        ),
        pytest.param(SERVICE, service(clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"]), [], id="a plain service"),
        pytest.param(SERVICE, {"spec": {}}, ["spec.ports: Required value"], id="a service without ports"),
        pytest.param(
            SERVICE, {"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}, [], id="a headless service without ports"
        ),
        pytest.param(
            SERVICE,
            service(ports=[{"port": 80}, {"port": 80, "name": "b", "nodePort": 30000}]),
            [
                "spec.ports[0].name: Required value",
                'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,'
                '"TargetPort":0,"NodePort":0}',
                "spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            ],
            id="bad service ports",
        ),
        pytest.param(
            SERVICE,
            service(type="ExternalName"),
            ["spec.externalName: Required value"],
            id="an external name without one",
        ),
        pytest.param(
            SERVICE,
            service(type="Loud"),
            [
                'spec.type: Unsupported value: "Loud": supported values: "ClusterIP", "ExternalName", "LoadBalancer", '
                '"NodePort"'
            ],
            id="an unknown type",
        ),
        pytest.param(
            SERVICE,
            service(externalTrafficPolicy="Local"),
            ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services'],
            id="a policy for traffic that cannot come",
        ),
        pytest.param(DEPLOYMENT, deployment(), [], id="a plain deployment"),
        pytest.param(
            DEPLOYMENT,
            deployment(selector={"matchLabels": {"app": "b"}}),
            ['spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`'],
            id="a selector that misses its template",
        ),
        pytest.param(
            DEPLOYMENT,
            deployment(selector={}, replicas=-1),
            [
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
                "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
            ],
            id="an empty selector",
        ),
        pytest.param(
            DEPLOYMENT,
            deployment(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}),
            ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0'],
            id="a rollout that cannot move",
        ),
        pytest.param(
            DEPLOYMENT,
            deployment(strategy={"type": "Recreate", "rollingUpdate": {}}),
            ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
            id="recreate does not roll",
        ),
        pytest.param(
            REPLICA_SET,
            deployment(template={"metadata": {"labels": {"app": "a"}}, "spec": pod(restartPolicy="Never")["spec"]}),
            ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
            id="replicas must restart",
        ),
        pytest.param(
            CONFIG_MAP,
            {"data": {"a/b": "x"}, "binaryData": {"ok": "YQ=="}},
            [
                "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', "
                "'_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
                "'[-._a-zA-Z0-9]+')"
            ],
            id="a bad key",
        ),
        pytest.param(
            CONFIG_MAP,
            {"data": {"a": "x" * (1 << 20) + "x"}},
            ["[]: Too long: may not be more than 1048576 bytes"],
            id="too much data",
        ),
        pytest.param(
            SECRET,
            {"type": "kubernetes.io/tls", "data": {"tls.crt": ""}},
            ["data[tls.key]: Required value"],
            id="half a key pair",
        ),
        pytest.param(
            ROLE,
            {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}, {"apiGroups": [""], "resources": ["pods"]}]},
            [
                'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
                "rules[1].verbs: Required value: verbs must contain at least one value",
            ],
            id="bad rules",
        ),
        pytest.param(CLUSTER_ROLE, {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]}, [], id="paths for all"),
        pytest.param(
            ROLE_BINDING,
            {"roleRef": {"kind": "Boss", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "s"}]},
            ['roleRef.kind: Unsupported value: "Boss": supported values: "Role", "ClusterRole"'],
            id="a bad binding",
        ),
        pytest.param(
            SLICE,
            {"addressType": "IPv4", "endpoints": [{"addresses": ["2001:db8::1"]}, {}]},
            [
                'endpoints[0].addresses: Invalid value: "2001:db8::1": must be an IPv4 address',
                "endpoints[1].addresses: Required value: must contain at least 1 address",
            ],
            id="bad endpoints",
        ),
        pytest.param(
            CSR,
            {"spec": {"request": REQUEST, "signerName": "example.com/a", "usages": ["client auth"]}},
            [],
            id="a certificate request",
        ),
        pytest.param(
            CSR,
            {"spec": {"request": "YQ==", "signerName": "x", "expirationSeconds": 5}},
            [
                'spec.request: Invalid value: "YQ==": PEM block type must be CERTIFICATE REQUEST',
                "spec.usages: Required value",
                'spec.signerName: Invalid value: "x": must be a fully qualified domain and path of the form '
                "'example.com/signer-name'",
                "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than "
                "600 seconds (10 minutes)",
            ],
            id="a bad certificate request",
        ),
        pytest.param(
            NODE,
            {"spec": {"taints": [{"key": "a"}, {"key": "b", "effect": "Maybe"}]}},
            [
                "metadata.taints[0].effect: Required value",
                'metadata.taints[1].effect: Unsupported value: "Maybe": supported values: '
                '"NoSchedule", "PreferNoSchedule", '
                '"NoExecute"',
            ],
            id="bad taints",
        ),
    ],
)
def test_validate(kind: Kind, obj: Object, says: list[str]) -> None:
    assert [str(cause) for cause in kind.strategy.validate(made(kind, obj))] == says


FIXED = (
    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
    "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
TOLERATION = {"key": "a", "operator": "Exists"}


@pytest.mark.parametrize(
    ("kind", "old", "new", "says"),
    [
        pytest.param(POD, container(), container(image="j"), [], id="a pod's image may change"),
        pytest.param(POD, container(), container(args=["x"]), [FIXED], id="a pod's arguments may not"),
        pytest.param(POD, pod(), pod(nodeName="n"), [FIXED], id="nor its node"),
        pytest.param(POD, pod(), pod(tolerations=[TOLERATION]), [], id="tolerations may come"),
        pytest.param(
            POD,
            pod(tolerations=[TOLERATION]),
            pod(),
            ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
            id="but not go",
        ),
        pytest.param(
            POD,
            pod(activeDeadlineSeconds=5),
            pod(activeDeadlineSeconds=6),
            ["spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"],
            id="a deadline comes no later",
        ),
        pytest.param(
            DEPLOYMENT,
            deployment(),
            deployment(selector={"matchLabels": {"app": "a", "b": "c"}}),
            [
                'spec.selector: Invalid value: {"matchLabels":{"app":"a","b":"c"}}: field is immutable',
                'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not '
                "match template `labels`",
            ],
            id="a selector stays",
        ),
        pytest.param(
            SERVICE,
            service(clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"]),
            service(clusterIP="10.0.0.2", clusterIPs=["10.0.0.2"]),
            ['spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set'],
            id="a service keeps its address",
        ),
        pytest.param(
            SERVICE,
            service(type="LoadBalancer", clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"], loadBalancerClass="a/b"),
            service(type="LoadBalancer", clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"]),
            ["spec.loadBalancerClass: Invalid value: null: may not change once set"],
            id="whose load balancer it has stays",
        ),
        pytest.param(
            RUNTIME_CLASS,
            {"handler": "a"},
            {"handler": "a", "scheduling": {"tolerations": [{"key": "k", "operator": "Is"}]}},
            ['scheduling.tolerations[0].operator: Unsupported value: "Is": supported values: "Equal", "Exists"'],
            id="an update of a runtime class is judged whole",
        ),
        pytest.param(
            CLAIM_TEMPLATE,
            {"spec": {"spec": {"devices": {}}}},
            {"spec": {"spec": {"devices": {}}, "metadata": {"uid": "u"}}},
            [
                "spec.metadata.uID: Forbidden: cannot be set",
                'spec: Invalid value: {"uid":"u","Spec":{"Devices":{"Requests":null,"Constraints":null,"Config":null}}}'
                ": field is immutable",
            ],
            id="so is one of a claim's template",
        ),
        pytest.param(
            CONFIG_MAP,
            {"immutable": True, "data": {"a": "1"}},
            {"immutable": True, "data": {"a": "2"}},
            ["data: Forbidden: field is immutable when `immutable` is set"],
            id="immutable data",
        ),
        pytest.param(
            SECRET, {"type": "a"}, {"type": "b"}, ['type: Invalid value: "b": field is immutable'], id="a secret's type"
        ),
    ],
)
def test_validate_update(kind: Kind, old: Object, new: Object, says: list[str]) -> None:
    before, after = made(kind, old), made(kind, new)
    kind.strategy.prepare_update(after, before, "")
    found = [str(cause).partition("\n@@")[0] for cause in kind.strategy.validate_update(after, before, "")]
    assert sorted(found) == sorted(says)  # how specs differ: tests/server/http/test_differences.py


@pytest.mark.parametrize(
    ("after", "is_refused"),
    [
        pytest.param(["10.42.0.0/24", "fd42::/64"], False, id="a second family may come"),
        pytest.param(["10.42.1.0/24"], True, id="no other of the same"),
        pytest.param(["fd42::/64", "10.42.0.0/24"], True, id="nor before the first"),
        pytest.param([], True, id="nor none"),
    ],
)
def test_a_node_keeps_its_pods_network(after: list[str], is_refused: bool) -> None:
    before, now = (made(NODE, {"spec": {"podCIDRs": cidrs}}) for cidrs in (["10.42.0.0/24"], after))
    assert bool(NODE.strategy.validate_update(now, before, "")) is is_refused
