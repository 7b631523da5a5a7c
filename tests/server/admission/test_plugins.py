"""What each plugin adds and refuses, asked through the registry."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from typing import Any

import pytest

from pylet.api.kinds.certificatesigningrequest import KIND as REQUEST
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object
from pylet.server.registry import User
from tests.server.kit import Api, configmap, pod, refused

KUBELET = User("system:node:n1", ("system:nodes", "system:authenticated"))
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


def node(name: str = "n1", **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {}}


async def test_a_pod_finds_its_token(api: Api) -> None:
    spec = (await api.create(pod("p")))["spec"]
    assert spec["serviceAccountName"] == "default"
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert [next(iter(source)) for source in volume["projected"]["sources"]] == [
        "serviceAccountToken",
        "configMap",
        "downwardAPI",
    ]
    (mount,) = spec["containers"][0]["volumeMounts"]
    assert (mount["name"], mount["mountPath"], mount["readOnly"]) == (volume["name"], TOKEN_PATH, True)


@pytest.mark.parametrize("holder", ["pod", "account"])
async def test_a_token_can_be_declined(api: Api, holder: str) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "quiet", "namespace": "a"}}
    declined = {"automountServiceAccountToken": False}
    await api.create(account | (declined if holder == "account" else {}))
    made = await api.create(pod("p", serviceAccountName="quiet", **(declined if holder == "pod" else {})))
    assert "volumes" not in made["spec"]


async def test_pull_secrets_come_with_the_account(api: Api) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "puller", "namespace": "a"}}
    await api.create(account | {"imagePullSecrets": [{"name": "s"}]})
    assert (await api.create(pod("p", serviceAccountName="puller")))["spec"]["imagePullSecrets"] == [{"name": "s"}]


async def test_an_account_that_is_not_there(api: Api) -> None:
    status = await refused(api.create(pod("p", serviceAccountName="nobody")))
    assert status["message"] == (
        'pods "p" is forbidden: error looking up service account a/nobody: serviceaccount "nobody" not found'
    )


async def test_a_default_account_in_the_making_is_waited_for(api: Api) -> None:
    await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}})
    creating = asyncio.create_task(api.create(pod("p", "new")))
    await asyncio.sleep(0)
    await api.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "new"}}
    )
    assert (await creating)["spec"]["serviceAccountName"] == "default"


async def test_pods_tolerate_a_lost_node_for_five_minutes(api: Api) -> None:
    mine = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
    tolerations = (await api.create(pod("p", tolerations=[mine])))["spec"]["tolerations"]
    assert [(t["key"].partition("/")[2], t["tolerationSeconds"]) for t in tolerations] == [
        ("not-ready", 1),
        ("unreachable", 300),
    ]


async def test_priority_comes_from_the_class(api: Api) -> None:
    high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 9}
    await api.create(high)
    assert (await api.create(pod("p")))["spec"]["priority"] == 0
    assert (await api.create(pod("q", priorityClassName="high")))["spec"]["priority"] == 9
    await api.create(high | {"metadata": {"name": "usual"}, "value": 3, "globalDefault": True})
    assert (await api.create(pod("r")))["spec"]["priorityClassName"] == "usual"
    second = await refused(api.create(high | {"metadata": {"name": "also"}, "globalDefault": True}))
    assert "PriorityClass usual is already marked as default. Only one default can exist" in second["message"]
    missing = await refused(api.create(pod("s", priorityClassName="none")))
    assert missing["message"] == 'pods "s" is forbidden: no PriorityClass with name none was found'
    set_by_hand = await refused(api.create(pod("t", priority=7)))
    assert "the integer value of priority (7) must not be provided in pod spec" in set_by_hand["message"]


async def test_a_new_node_is_not_ready(api: Api) -> None:
    made = await api.create(node())
    assert made["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"metadata": {"labels": {"node-restriction.kubernetes.io/x": "y"}}}, "is not allowed to modify labels: "),
        ({"metadata": {"labels": {"kubernetes.io/role": "y"}}}, "is not allowed to modify labels: kubernetes.io/role"),
        ({"spec": {"taints": []}}, 'node "n1" is not allowed to modify taints'),
    ],
    ids=["restricted label", "kubernetes' label", "taints"],
)
async def test_what_a_kubelet_cannot_change_on_its_node(api: Api, patch: Object, message: str) -> None:
    await api.create(node(), user=KUBELET)
    assert message in (await refused(api.patch(NODE, "", "n1", patch, user=KUBELET)))["message"]


async def test_a_kubelet_keeps_to_its_node_and_pods(api: Api) -> None:
    await api.create(node("n1", **{"kubernetes.io/hostname": "n1"}), user=KUBELET)
    await api.create(pod("mine", nodeName="n1"))
    await api.create(pod("other", nodeName="n2"))
    running: Any = {"status": {"phase": "Running"}}
    await api.patch(POD, "a", "mine", running, subresource="status", user=KUBELET)
    for refusal in (
        api.patch(POD, "a", "other", running, subresource="status", user=KUBELET),
        api.patch(POD, "a", "mine", {"metadata": {"labels": {"a": "b"}}}, user=KUBELET),
        api.delete(POD, "a", "other", user=KUBELET),
        api.create(pod("new", nodeName="n1"), user=KUBELET),
        api.create(node("n2"), user=KUBELET),
    ):
        assert (await refused(refusal))["code"] == 403
    await api.delete(POD, "a", "mine", grace_seconds=0, user=KUBELET)


async def test_a_kubelet_lets_go_of_its_local_volumes_and_changes_nothing_else_of_them(api: Api) -> None:
    def volume(name: str, node: str) -> Object:
        meta = {"name": name, "labels": {"pylet.io/node": node}, "finalizers": ["pylet.io/local-path", "a.io/b"]}
        spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}
        return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": spec}

    def patch(name: str, meta: Object) -> Any:
        return api.patch(VOLUME, "", name, {"metadata": meta}, user=KUBELET)

    await api.create(volume("mine", "n1"))
    await api.create(volume("other", "n2"))
    kept = ["a.io/b", "kubernetes.io/pv-protection"]
    for refusal in (
        patch("other", {"finalizers": kept}),
        patch("mine", {"finalizers": kept[1:]}),
        patch("mine", {"finalizers": [*kept, "c.io/d"]}),
        patch("mine", {"labels": {"pylet.io/node": "n2"}}),
    ):
        assert (await refused(refusal))["code"] == 403
    assert (await patch("mine", {"finalizers": kept}))["metadata"]["finalizers"] == kept


async def test_other_users_are_not_kubelets(api: Api) -> None:
    await api.create(node("n2"))
    await api.create(configmap("x"), user=KUBELET)


async def test_a_certificate_request_says_who_made_it(api: Api) -> None:
    request = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "c"},
        "spec": {"request": csr(), "signerName": "example.com/signer", "usages": ["client auth"], "username": "liar"},
    }
    made = await api.create(request, user=User("jane", ("dev",)))
    assert (made["spec"]["username"], made["spec"]["groups"]) == ("jane", ["dev"])
    request["metadata"] = {"name": "d"}
    request["spec"] |= {"request": csr("system:masters"), "signerName": "kubernetes.io/kube-apiserver-client"}
    assert "with system:masters group is not allowed" in (await refused(api.create(request)))["message"]
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\nYQ==\n-----END CERTIFICATE REQUEST-----\n"
    request["spec"] |= {"request": b64encode(pem).decode()}
    assert "spec.request: Invalid value" in (await refused(api.create(request)))["message"]


SHA1_REQUESTS = {
    "rsa": (
        "MIIBWzCBxQIBADAcMQwwCgYDVQQKDANkZXYxDDAKBgNVBAMMA3NhbTCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAzs4ftSGL"
        "GvrY43zpkviyTusrUhpeFvQBC2P6kyR2qfJrP0brCLDL+8RRK4Jvx7XjVCKv2Plqvsd7HB5JjBVbRgFPnkgkfuRtJ5JNzF1d93rU"
        "lvVLYjPRq4l0PVNYQ+WOXYSQr+tBHOf1tcvEZ13vhwi3WdK0Un8azhN7gZh7H/8CAwEAAaAAMA0GCSqGSIb3DQEBBQUAA4GBAKz5"
        "vUs7ce1fZ5VXeF/wXx+cU9g7HzMNuznM6oHsDvOSdYG0O3o5egYvU7liCodko/q+M33SRLjNLFTEc2ndk3gWTDEPCdVuKkYq5wW6"
        "Lkhs1UYKzbgchXOPvKGTDGu6r8+ysnD347ZNsAEq6NiVFqo9idL2mkMhIlGDpngm1ySP"
    ),
    "ec": (
        "MIHVMH4CAQAwHDEMMAoGA1UECgwDZGV2MQwwCgYDVQQDDANzYW0wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARPafD6HgeZT462"
        "NpES6P/O13EK1tnJ8BqA6TzzjFoAtnLDUG1peGdI/VFYFkztnrY9crOiPRJcSfsM1+uaN0RtoAAwCQYHKoZIzj0EAQNIADBFAiBC"
        "yVjXU6EckQya9tu9gZ6j9IPc4jSVBkVBz5lgxGwQTgIhAIDv6CCRGC9PrgggfPzueR3XDgvU1ubtr+Gp3gn3Pt+s"
    ),
}
"""As `openssl req -new -sha1` makes them (DER); `cryptography` signs with better hashes alone."""


@pytest.mark.parametrize("key", SHA1_REQUESTS)
async def test_a_certificate_request_may_be_signed_with_sha1(api: Api, key: str) -> None:
    der = SHA1_REQUESTS[key]

    def request(name: str, der: str) -> dict[str, Any]:
        pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{der}\n-----END CERTIFICATE REQUEST-----\n"
        spec = {
            "request": b64encode(pem.encode()).decode(),
            "signerName": "example.com/signer",
            "usages": ["client auth"],
        }
        return {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": spec,
        }

    await api.create(request("good", der))
    forged = b64encode(b64decode(der).replace(b"sam", b"san")).decode()
    assert "signature verification failed" in (await refused(api.create(request("bad", forged))))["message"]


async def test_a_decision_about_a_certificate_says_when_it_was_made(api: Api) -> None:
    spec = {"request": csr(), "signerName": "example.com/signer", "usages": ["client auth"]}
    request = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "c"}}
    await api.create(request | {"spec": spec})
    began = "2020-01-01T00:00:00Z"
    said = [{"type": "Approved", "status": "True", "lastTransitionTime": began}]
    made = await api.patch(REQUEST, "", "c", {"status": {"conditions": said}}, subresource="approval")
    (approved,) = made["status"]["conditions"]
    assert approved["lastUpdateTime"] > began == approved["lastTransitionTime"]
    said = [{"type": "Approved", "status": "True", "message": "again"}, {"type": "Other", "status": "True"}]
    made = await api.patch(REQUEST, "", "c", {"status": {"conditions": said}}, subresource="approval")
    approved, other = made["status"]["conditions"]
    assert approved["lastTransitionTime"] == began < other["lastTransitionTime"]


def csr(organization: str = "dev") -> str:
    import base64

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    names = [
        x509.NameAttribute(NameOID.COMMON_NAME, "jane"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (
            {"volumes": [{"name": "v", "secret": {"secretName": "other"}}]},
            'volume with secret.secretName="other" is not allowed because service account strict does not reference '
            "that secret",
        ),
        (
            {"imagePullSecrets": [{"name": "other"}]},
            'imagePullSecrets[0].name="other" is not allowed because service account strict does not reference that '
            "imagePullSecret",
        ),
        ({"volumes": [{"name": "v", "secret": {"secretName": "mine"}}]}, ""),
    ],
    ids=["volume", "pull secret", "allowed"],
)
async def test_an_account_may_restrict_secrets(api: Api, spec: Object, says: str) -> None:
    meta = {"name": "strict", "namespace": "a", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}
    await api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta, "secrets": [{"name": "mine"}]})
    creating = api.create(pod("p", serviceAccountName="strict", **spec))
    if says:
        assert (await refused(creating))["message"] == f'pods "p" is forbidden: {says}'
    else:
        await creating


async def test_a_mirror_pod_refers_to_nothing(api: Api) -> None:
    made = await api.create(node(), user=KUBELET)
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": made["metadata"]["uid"], "controller": True}
    mirror = pod("m", nodeName="n1", volumes=[{"name": "v", "configMap": {"name": "x"}}])
    mirror["metadata"] |= {"annotations": {"kubernetes.io/config.mirror": "h"}, "ownerReferences": [owner]}
    status = await refused(api.create(mirror, user=KUBELET))
    assert status["message"] == 'pods "m" is forbidden: node "n1" can not create pods that reference configmaps'
    del mirror["spec"]["volumes"]
    await api.create(mirror, user=KUBELET)


async def test_a_kubelet_has_its_own_csinode(api: Api) -> None:
    other = {"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "n2"}, "spec": {"drivers": []}}
    assert "can only access CSINode with the same name" in (await refused(api.create(other, user=KUBELET)))["message"]
