"""From the text of a configuration file to the object it is, as strictly as upstream decodes it.

Source: apiserver pkg/apis/apiserver/v1/types.go, pkg/apis/audit/v1/types.go, pod-security-admission admission/api/v1,
apiserver pkg/admission/plugin/{resourcequota,webhook,policy}/…/v1/types.go, apimachinery pkg/runtime/serializer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from functools import cache
from typing import Any

import orjson

from pylet.api import goduration, schema
from pylet.api.errors import BadRequest
from pylet.api.object import Object
from pylet.api.schema.mismatch import Mismatch
from pylet.api.schema.node import Any_, Check, List, Ref, Scalar, Struct, Text
from pylet.api.wire import decode, strict

_TYPES = {
    "AdmissionConfiguration": "plugins:[]AdmissionPluginConfiguration",
    "AdmissionPluginConfiguration": "name path configuration:any",
    "PodSecurityConfiguration": "defaults:PodSecurityDefaults exemptions:PodSecurityExemptions",
    "PodSecurityDefaults": "enforce enforce-version audit audit-version warn warn-version",
    "PodSecurityExemptions": "usernames:[]string namespaces:[]string runtimeClasses:[]string",
    "ResourceQuotaConfiguration": "limitedResources:[]LimitedResource",
    "Configuration": "limitedResources:[]LimitedResource",
    "LimitedResource": "apiGroup resource matchContains:[]string matchScopes:[]ScopedResourceSelectorRequirement",
    "ScopedResourceSelectorRequirement": "scopeName:=ResourceQuotaScope operator:=ScopeSelectorOperator "
    "values:[]string",
    "WebhookAdmissionConfiguration": "kubeConfigFile staticManifestsDir",
    "ValidatingAdmissionPolicyConfiguration": "staticManifestsDir",
    "MutatingAdmissionPolicyConfiguration": "staticManifestsDir",
    "AuthorizationConfiguration": "authorizers:[]AuthorizerConfiguration",
    "AuthorizerConfiguration": "type name webhook:WebhookConfiguration",
    "WebhookConfiguration": "authorizedTTL:duration cacheAuthorizedRequests:bool unauthorizedTTL:duration "
    "cacheUnauthorizedRequests:bool timeout:duration subjectAccessReviewVersion "
    "matchConditionSubjectAccessReviewVersion failurePolicy connectionInfo:WebhookConnectionInfo "
    "matchConditions:[]WebhookMatchCondition",
    "WebhookConnectionInfo": "type kubeConfigFile",
    "WebhookMatchCondition": "expression",
    "AuthenticationConfiguration": "jwt:[]JWTAuthenticator anonymous:AnonymousAuthConfig",
    "AnonymousAuthConfig": "enabled:bool conditions:[]AnonymousAuthCondition",
    "AnonymousAuthCondition": "path",
    "JWTAuthenticator": "issuer:Issuer claimValidationRules:[]ClaimValidationRule claimMappings:ClaimMappings "
    "userValidationRules:[]UserValidationRule",
    "Issuer": "url discoveryURL certificateAuthority audiences:[]string "
    "audienceMatchPolicy:=AudienceMatchPolicyType egressSelectorType:=EgressSelectorType",
    "ClaimValidationRule": "claim requiredValue expression message",
    "ClaimMappings": "username:PrefixedClaimOrExpression groups:PrefixedClaimOrExpression uid:ClaimOrExpression "
    "extra:[]ExtraMapping",
    "PrefixedClaimOrExpression": "claim prefix expression",
    "ClaimOrExpression": "claim expression",
    "ExtraMapping": "key valueExpression",
    "UserValidationRule": "expression message",
    "Policy": "metadata:meta rules:[]PolicyRule omitStages:[]=Stage omitManagedFields:bool",
    "PolicyRule": "level:=Level users:[]string userGroups:[]string verbs:[]string resources:[]GroupResources "
    "namespaces:[]string nonResourceURLs:[]string omitStages:[]=Stage omitManagedFields:bool",
    "GroupResources": "group resources:[]string resourceNames:[]string",
}
"""The fields of each type, strings unless told; `=` is a string of a type of its own."""
_PARTS = {word.rpartition(":")[2].removeprefix("[]") for words in _TYPES.values() for word in words.split()}
"""The types of fields; the others are documents, which say what they are."""


class BadConfiguration(ValueError):
    """Why a text is not the configuration it should be."""


def strictly(raw: bytes, kinds: Mapping[str, Collection[str]]) -> Object:
    """The document, which strict decoding has nothing against. `kinds` as of `configuration`.

    Raises: BadConfiguration.
    """
    found, odd = configuration(raw, kinds)
    if odd:
        raise BadConfiguration(odd)
    return found


def configuration(raw: bytes, kinds: Mapping[str, Collection[str]]) -> tuple[Object, str]:
    """The document, and what strict decoding says against it, "" for nothing; `kinds` are those it may be, with their
    versions. Raises: BadConfiguration."""
    try:
        document = decode.recognize(raw)
    except BadRequest as bad:
        raise BadConfiguration(bad.message.removeprefix("error converting YAML to JSON: ")) from bad
    found, text = document.value, raw
    for field in ("kind", "apiVersion"):
        if not found.get(field):
            raise BadConfiguration(f"Object '{field.replace('k', 'K')}' is missing in '{raw.decode(errors='replace')}'")
    kind = found["kind"]
    if found["apiVersion"] not in kinds.get(kind, ()):
        raise BadConfiguration(f'no kind "{kind}" is registered for version "{found["apiVersion"]}"')
    twice = []
    if not decode.is_json(raw):
        text = orjson.dumps(found, option=orjson.OPT_SORT_KEYS)
        twice = ["\n  ".join(["yaml: unmarshal errors:", *document.duplicates])] if document.duplicates else []
    try:
        unknown = _struct(found["apiVersion"].rpartition("/")[2], kind).decode(found)
    except ValueError as bad:
        raise BadConfiguration(str(bad)) from bad
    problems = [*twice, *strict.in_order(unknown, text)]
    return found, f"strict decoding error: {', '.join(problems)}" if problems else ""


@cache
def _struct(version: str, name: str) -> Struct:
    struct = Struct(f"configuration.{version}.{name}")
    for word in _TYPES[name].split():
        field, _, type_ = word.partition(":")
        struct.fields[field] = _check(version, type_)
    if name not in _PARTS:
        struct.fields |= {"apiVersion": str, "kind": str}
    struct.keeps_zero = frozenset(struct.fields)
    return struct


def _check(version: str, type_: str) -> Check:
    if type_.startswith("[]"):
        return List(_check(version, type_[2:]), keeps_zero=True)
    match type_:
        case "" | "string":
            return str
        case "bool":
            return bool
        case "any":
            return Any_()
        case "meta":
            return Ref("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", schema.of)
        case "duration":
            return Text("v1.Duration", _duration)
        case _ if type_.startswith("="):
            return Scalar(str, f"{version}.{type_[1:]}", keeps_zero=True)
    return Ref(f"configuration.{version}.{type_}", lambda _: _struct(version, type_))


def _duration(value: Any) -> str:
    """Raises: ValueError."""
    if value.__class__ is not str:
        raise Mismatch(value, "string")
    goduration.nanoseconds(value)
    return str(value)


def duration(holder: Object, name: str) -> timedelta:
    """Of a decoded document's field; nothing where it is not told."""
    return goduration.parse(holder.get(name) or "0")
