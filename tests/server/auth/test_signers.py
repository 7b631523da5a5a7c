"""Who may approve and sign, and for which audiences a node takes tokens."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pylet.api import kinds
from pylet.api.kinds.certificatesigningrequest import KIND as CSR
from pylet.api.kinds.tokenrequest import KIND as TOKEN_REQUEST
from pylet.api.object import Key, Object
from pylet.server.auth import escalation, signers
from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.auth.authorize import Authorizer, Chain, Link
from pylet.server.registry import Request, User
from tests.server.kit import Api, api, pod, refused

__all__ = ["api"]

BOB = User("bob", ("system:authenticated",))
KUBELET = User("system:node:n1", ("system:nodes",))
GROUP = "rbac.authorization.k8s.io"


@pytest.fixture
def guarded(api: Api) -> Api:
    api.registry.admission.extend_before_last(signers.plugins(Authorizer(api.registry)))
    return api


def request_for(name: str) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject)
    signed = made.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


async def csr(api: Api, signer: str = "x.test/y", common_name: str = "c", **options: Any) -> Object:
    spec = {"request": request_for(common_name), "signerName": signer, "usages": ["client auth"]}
    body = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "c"}}
    return await api.create(body | {"spec": spec}, **options)


async def allow(api: Api, verb: str, signer: str) -> None:
    rule = {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": [verb], "resourceNames": [signer]}
    await api.create({"apiVersion": f"{GROUP}/v1", "kind": "ClusterRole", "metadata": {"name": "r"}, "rules": [rule]})
    await api.create(
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "b"},
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "r"},
            "subjects": [{"apiGroup": GROUP, "kind": "User", "name": "bob"}],
        }
    )


APPROVED = {"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "x"}]}}


async def test_a_webhook_that_authorizes_is_asked_about_more_than_requests(api: Api) -> None:
    asked = []

    class Judge:
        async def decide(self, question: Attributes) -> Decision:
            asked.append(f"{question.verb} {question.resource} {question.name}")
            return Decision(question.verb in ("approve", "escalate"))

    authorizer = Authorizer(api.registry, Chain((Link("Webhook", "judge", Judge()),)))
    api.registry.admission.extend_before_last([*signers.plugins(authorizer), escalation.plugin(authorizer)])
    await csr(api)
    await api.patch(CSR, "", "c", APPROVED, subresource="approval", user=BOB)
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    role = {"apiVersion": f"{GROUP}/v1", "kind": "ClusterRole", "metadata": {"name": "all"}, "rules": rules}
    await api.create(role, user=BOB)
    binding = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "all"},
    }
    assert (await refused(api.create(binding, user=BOB)))["code"] == 403
    assert asked == ["approve signers x.test/y", "escalate clusterroles all", "bind clusterroles all"]


async def test_approving_takes_the_signer_s_permission(guarded: Api) -> None:
    await csr(guarded)
    approving = guarded.patch(CSR, "", "c", APPROVED, subresource="approval", user=BOB)
    assert (await refused(approving))["message"] == (
        'certificatesigningrequests.certificates.k8s.io "c" is forbidden: '
        'user not permitted to approve requests with signerName "x.test/y"'
    )
    await allow(guarded, "approve", "x.test/*")
    await guarded.patch(CSR, "", "c", APPROVED, subresource="approval", user=BOB)


async def test_signing_takes_the_signer_s_permission(guarded: Api) -> None:
    await csr(guarded)
    signed = {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "x"}]}}
    signing = guarded.patch(CSR, "", "c", signed, subresource="status", user=BOB)
    assert 'not permitted to sign requests with signerName "x.test/y"' in (await refused(signing))["message"]
    await guarded.patch(CSR, "", "c", {"metadata": {"labels": {"a": "b"}}}, subresource="status", user=BOB)
    await allow(guarded, "sign", "x.test/y")
    await guarded.patch(CSR, "", "c", signed, subresource="status", user=BOB)


async def test_a_node_asks_for_its_own_certificate(api: Api) -> None:
    signer = "kubernetes.io/kube-apiserver-client-kubelet"
    status = await refused(csr(api, signer, "system:node:n2", user=KUBELET))
    assert status["message"].endswith("can only create a node CSR with CN=system:node:n1")
    assert await csr(api, signer, "system:node:n1", user=KUBELET)


CLAIM_TEMPLATE = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}


@pytest.mark.parametrize(("audience", "is_allowed"), [("", True), ("vault", True), ("other", False)])
async def test_a_node_takes_tokens_its_pods_mount(guarded: Api, audience: str, is_allowed: bool) -> None:
    sources = [{"serviceAccountToken": {"path": "t", "audience": "vault"}}]
    asking = token(guarded, audience, {"name": "v", "projected": {"sources": sources}})
    if is_allowed:
        await asking
    else:
        assert f'audience "{audience}" not found in pod spec volume' in (await refused(asking))["message"]


@pytest.mark.parametrize(
    ("volume", "missing"),
    [
        ({"csi": {"driver": "x.test"}}, 'csidriver.storage.k8s.io "x.test" not found'),
        ({"persistentVolumeClaim": {"claimName": "c"}}, 'persistentvolumeclaim "c" not found'),
        ({"ephemeral": {"volumeClaimTemplate": CLAIM_TEMPLATE}}, 'persistentvolumeclaim "p-v" not found'),
    ],
)
async def test_what_leads_to_an_audience_has_to_be_there(guarded: Api, volume: Object, missing: str) -> None:
    """In words of kube-apiserver's own tests, test/integration/auth/node_test.go."""
    status = await refused(token(guarded, "vault", {"name": "v", **volume}))
    assert status["message"].endswith(f'error validating audience "vault": {missing}')


async def token(api: Api, audience: str, volume: Object) -> None:
    """A node asks for a token of the audience, for a pod with that volume."""
    made = await api.create(pod("p", nodeName="n1", volumes=[volume]))
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": made["metadata"]["uid"]}
    spec = {"boundObjectRef": bound, "audiences": [audience] if audience else []}
    accounts = kinds.by_kind("", "v1", "ServiceAccount")
    assert accounts is not None
    asked = Request(verb="create", kind=accounts, key=Key("a", "default"), subresource="token", user=KUBELET)
    await api.registry.admit(asked, {"metadata": {"name": "default"}, "spec": spec}, TOKEN_REQUEST)
