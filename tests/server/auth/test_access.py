"""Who may what, over TLS on loopback."""

from __future__ import annotations

import hashlib
import ssl
from typing import Any

import pytest

from pylet.server.auth.authenticate import certificate_user

PODS = "/api/v1/namespaces/default/pods"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"


async def account_token(cluster: Any, name: str = "robot", **spec: Any) -> str:
    path = "/api/v1/namespaces/default/serviceaccounts"
    await cluster.ask("POST", path, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    made = await cluster.ask("POST", f"{path}/{name}/token", {"spec": spec})
    assert made.status == 201, made.body
    token: str = made.json["status"]["token"]
    return token


async def grant(cluster: Any, verbs: list[str], resources: list[str], account: str = "robot") -> None:
    role = {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": resources, "verbs": verbs}]}
    assert (await cluster.ask("POST", f"{RBAC}/roles", role)).status == 201
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "default"}],
    }
    assert (await cluster.ask("POST", f"{RBAC}/rolebindings", binding)).status == 201


async def test_who_comes_with_a_certificate_is_told_by_its_fingerprint(cluster: Any) -> None:
    who = await cluster.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    encoded = ssl.PEM_cert_to_DER_cert(cluster.running.pki.admin.certificate.read_text())
    assert who.json["status"]["userInfo"]["extra"] == {
        "authentication.kubernetes.io/credential-id": [f"X509SHA256={hashlib.sha256(encoded).hexdigest()}"]
    }


def test_a_certificate_s_last_name_and_its_uid_count() -> None:
    subject = (
        (("commonName", "a"),),
        (("organizationName", "dev"),),
        (("commonName", "b"),),
        (("1.3.6.1.4.1.57683.2", "7"),),
    )
    user = certificate_user(subject)
    assert user is not None
    assert (user.name, user.groups, user.uid) == ("b", ("dev", "system:authenticated"), "7")


async def test_nobody_known_is_refused_by_name(cluster: Any) -> None:
    refused = await cluster.ask("GET", PODS, anonymous=True)
    assert refused.status == 403
    assert refused.json["message"] == (
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" '
        'in the namespace "default"'
    )
    assert refused.json["details"] == {"kind": "pods"}


@pytest.mark.parametrize(
    ("authorization", "status"),
    [("Bearer nonsense", 401), ("bearer nonsense", 401), ("Basic bm9uc2Vuc2U=", 403), ("Bearer ", 403)],
    ids=["a wrong token", "in small letters", "a way nobody has here", "no token"],
)
async def test_a_wrong_token_is_not_anonymous(cluster: Any, authorization: str, status: int) -> None:
    assert (await cluster.ask("GET", PODS, anonymous=True, Authorization=authorization)).status == status


async def test_a_service_account_may_what_its_role_grants_at_once(cluster: Any) -> None:
    token = await account_token(cluster)
    assert (await cluster.ask("GET", PODS, token=token)).status == 403
    await grant(cluster, ["list"], ["pods"])
    assert (await cluster.ask("GET", PODS, token=token)).status == 200
    assert (await cluster.ask("GET", f"{PODS}/x", token=token)).status == 403
    assert (await cluster.ask("DELETE", f"{RBAC}/rolebindings/b")).status == 200
    assert (await cluster.ask("GET", PODS, token=token)).status == 403


async def test_a_token_dies_with_its_account(cluster: Any) -> None:
    token = await account_token(cluster)
    await cluster.ask("DELETE", "/api/v1/namespaces/default/serviceaccounts/robot")
    assert (await cluster.ask("GET", "/version", token=token)).status == 401


async def test_a_changed_token_proves_nothing(cluster: Any) -> None:
    head, payload, signature = (await account_token(cluster)).split(".")
    other = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    assert (await cluster.ask("GET", "/version", token=f"{head}.{payload}.{other}")).status == 401


async def test_nobody_grants_what_he_does_not_hold(cluster: Any) -> None:
    token = await account_token(cluster)
    role = {
        "metadata": {"name": "r"},
        "rules": [
            {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create"]}
        ],
    }
    await cluster.ask("POST", f"{RBAC}/roles", role)
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
    }
    await cluster.ask("POST", f"{RBAC}/rolebindings", binding)
    more = {"metadata": {"name": "more"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}
    refused = await cluster.ask("POST", f"{RBAC}/roles", more, token=token)
    assert refused.status == 403
    assert "is attempting to grant RBAC permissions not currently held" in refused.json["message"]


async def test_reviews_tell_what_a_user_may(cluster: Any) -> None:
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    asked = {"user": "x", "groups": ["system:masters"], "resourceAttributes": {"verb": "get", "resource": "pods"}}
    assert (await cluster.ask("POST", path, {"spec": asked})).json["status"]["allowed"] is True
    asked["groups"] = []
    assert (await cluster.ask("POST", path, {"spec": asked})).json["status"]["allowed"] is False
    token = await account_token(cluster)
    review = await cluster.ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token}})
    assert review.json["status"]["user"]["username"] == "system:serviceaccount:default:robot"


async def test_impersonation_needs_its_own_right(cluster: Any) -> None:
    me = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    as_other = await cluster.ask("POST", me, {}, Impersonate_User="jane", Impersonate_Group="dev")
    assert as_other.json["status"]["userInfo"] == {"username": "jane", "groups": ["dev", "system:authenticated"]}
    assert list(as_other.json["metadata"]) == ["creationTimestamp"]
    token = await account_token(cluster)
    refused = await cluster.ask("POST", me, {}, token=token, Impersonate_User="jane")
    assert refused.status == 403
    assert "cannot impersonate-on:user-info:create resource" in refused.json["message"]


@pytest.mark.parametrize(
    ("method", "verb", "type_"),
    [("PUT", "update", "application/json"), ("PATCH", "patch", "application/apply-patch+yaml")],
)
async def test_what_makes_an_object_takes_the_right_to_create(cluster: Any, method: str, verb: str, type_: str) -> None:
    token = await account_token(cluster)
    await grant(cluster, [verb], ["limitranges"])
    path = "/api/v1/namespaces/default/limitranges/l"
    limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": []}}

    async def written(token: str | None) -> Any:
        return await cluster.ask(method, f"{path}?fieldManager=m", limits, token=token, Content_Type=type_)

    refused = await written(token)
    assert refused.status == 403
    assert 'cannot create resource "limitranges" in API group ""' in refused.json["message"]
    assert (await written(None)).status == 201
    assert (await written(token)).status == 200


@pytest.mark.parametrize(
    ("headers", "status", "is_marked"),
    [
        pytest.param({"Impersonate_User": "bob"}, 403, True, id="who may not ask"),
        pytest.param({"Impersonate_Group": "dev"}, 400, True, id="who cannot be acted as"),
        pytest.param({}, 404, False, id="what is not there"),
    ],
)
async def test_who_is_refused_at_the_door_is_told_so_by_a_header(
    cluster: Any, headers: dict[str, str], status: int, is_marked: bool
) -> None:
    refused = await cluster.ask("GET", f"{PODS}/p", **headers)
    assert refused.status == status
    assert ("X-Content-Type-Options" in refused.headers) is is_marked


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/openid/v1/jwks"])
async def test_what_believers_of_the_tokens_read_may_be_kept_for_an_hour(cluster: Any, path: str) -> None:
    assert (await cluster.ask("GET", path)).headers.getall("Cache-Control") == ["public, max-age=3600"]


async def test_who_is_refused_is_told_by_which_flow_and_who_is_nobody_is_not(cluster: Any) -> None:
    header = "X-Kubernetes-PF-FlowSchema-UID"
    allowed, refused, unknown = [
        await cluster.ask("GET", PODS, **who) for who in ({}, {"anonymous": True}, {"token": "wrong"})
    ]
    assert [one.status for one in (allowed, refused, unknown)] == [200, 403, 401]
    assert allowed.headers[header] != refused.headers[header]
    assert header not in unknown.headers
