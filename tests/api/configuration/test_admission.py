"""What an AdmissionConfiguration may say of each plugin; the messages are kube-apiserver's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from pylet.api.configuration import admission
from pylet.api.configuration.decoding import BadConfiguration
from pylet.api.podsecurity import Limit
from pylet.api.podsecurity.policy import LATEST

V1 = "apiserver.config.k8s.io/v1"
LEVELS = "must be one of privileged, baseline, restricted"


def text(kind: str, version: str = V1, **said: Any) -> bytes:
    return orjson.dumps({"apiVersion": version, "kind": kind, **said})


def pods(**said: Any) -> bytes:
    return text("PodSecurityConfiguration", "pod-security.admission.config.k8s.io/v1", **said)


def quotas(*resources: Any) -> bytes:
    return text("ResourceQuotaConfiguration", limitedResources=resources)


def webhooks(**said: Any) -> bytes:
    return text("WebhookAdmissionConfiguration", **said)


def policies(raw: bytes) -> None:
    admission.policies(raw, "ValidatingAdmissionPolicyConfiguration")


def test_of_several_entries_of_a_plugin_the_first_holds() -> None:
    entries = [{"name": "PodSecurity", "path": "a"}, {"name": "PodSecurity", "path": "b"}, {"name": "Other"}]
    found = admission.plugins(text("AdmissionConfiguration", "apiserver.k8s.io/v1alpha1", plugins=entries))
    assert found == {"PodSecurity": entries[0], "Other": entries[2]}


def test_what_is_not_said_of_pods_is_privileged() -> None:
    found = admission.pod_security(pods(defaults={"enforce": "baseline", "warn-version": "v1.30"}))
    policy = found.default
    assert (policy.enforce, policy.audit) == (Limit("baseline", LATEST), Limit("privileged", LATEST))
    assert policy.warn == Limit("privileged", 30)
    assert found == admission.PodSecurity(policy)


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha1"])
def test_who_is_exempt_of_pod_security(version: str) -> None:
    exempt = {"usernames": ["u"], "namespaces": ["n", "m"], "runtimeClasses": ["r"]}
    group = "pod-security.admission.config.k8s.io"
    found = admission.pod_security(text("PodSecurityConfiguration", f"{group}/{version}", exemptions=exempt))
    assert (found.usernames, found.namespaces, found.runtime_classes) == ({"u"}, {"n", "m"}, {"r"})


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("ResourceQuotaConfiguration", V1),
        ("Configuration", "resourcequota.admission.k8s.io/v1beta1"),
        ("Configuration", "resourcequota.admission.k8s.io/v1alpha1"),
    ],
)
def test_what_is_limited(kind: str, version: str) -> None:
    limited = [{"resource": "pods", "matchContains": ["pods"]}]
    assert admission.limited_resources(text(kind, version, limitedResources=limited)) == limited


def test_where_credentials_of_webhooks_are() -> None:
    assert admission.webhooks(webhooks(kubeConfigFile="/etc/k.yaml")) == "/etc/k.yaml"
    assert admission.webhooks(webhooks(kubeConfigFile="")) == ""


@pytest.mark.parametrize(
    ("read", "raw", "says"),
    [
        pytest.param(
            admission.plugins,
            text("AdmissionConfiguration", plugins=[{"name": "a", "kind": "b"}]),
            'strict decoding error: unknown field "plugins[0].kind"',
            id="a field that no plugin has",
        ),
        pytest.param(
            admission.plugins,
            text("AdmissionConfiguration", "v1"),
            'no kind "AdmissionConfiguration" is registered for version "v1"',
            id="another version",
        ),
        pytest.param(admission.plugins, b"plugins: []", "Object 'Kind' is missing in 'plugins: []'", id="no kind"),
        pytest.param(
            admission.pod_security,
            pods(defaults={"enforce": "strict", "audit-version": "1.2", "warn": "x"}),
            f'PodSecurity configuration error: [enforce: {LEVELS}, audit-version: must be "latest" or "v1.x", '
            f"warn: {LEVELS}]",
            id="no levels and versions",
        ),
        pytest.param(
            admission.pod_security,
            pods(exemptions={"namespaces": ["A_", "b", "b"], "usernames": [""], "runtimeClasses": ["r", "r"]}),
            'PodSecurity invalid: [exemptions.namespaces[0]: Invalid value: "A_": a lowercase RFC 1123 label must '
            "consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric "
            "character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?'), "
            'exemptions.namespaces[2]: Duplicate value: "b", exemptions.runtimeClasses[1]: Duplicate value: "r", '
            'exemptions.usernames[0]: Invalid value: "": username must not be empty]',
            id="exemptions of nobody, and twice",
        ),
        pytest.param(
            admission.limited_resources,
            quotas({"resource": "pods"}, {"apiGroup": "apps"}),
            "limitedResources[1].resource: Required value",
            id="no resource",
        ),
        pytest.param(
            admission.webhooks,
            webhooks(kubeConfigFile="k.yaml"),
            'kubeConfigFile: Invalid value: "k.yaml": must be an absolute file path',
            id="a relative path",
        ),
        pytest.param(
            policies,
            text("ValidatingAdmissionPolicyConfiguration", staticManifestsDir="/etc"),
            "staticManifestsDir: Forbidden: staticManifestsDir requires the ManifestBasedAdmissionControlConfig "
            "feature gate to be enabled",
            id="policies in files",
        ),
        pytest.param(
            policies,
            webhooks(),
            f'no kind "WebhookAdmissionConfiguration" is registered for version "{V1}"',
            id="a configuration of something else",
        ),
    ],
)
def test_what_is_wrong_is_told_as_upstream_tells_it(read: Callable[[bytes], Any], raw: bytes, says: str) -> None:
    with pytest.raises(BadConfiguration) as refused:
        read(raw)
    assert str(refused.value).startswith(says)
