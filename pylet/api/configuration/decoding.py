"""From the text of a configuration file to the object it is, as strictly as upstream decodes it.

Source: apiserver pkg/apis/apiserver/v1/types.go, pkg/apis/audit/v1/types.go, apimachinery pkg/runtime/serializer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from typing import Any

import orjson

from pylet.api import schema
from pylet.api.errors import BadRequest
from pylet.api.object import Object
from pylet.api.schema.mismatch import Mismatch
from pylet.api.schema.node import Check, List, Ref, Scalar, Struct, Text
from pylet.api.wire import decode, strict

_TYPES = {
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


class BadConfiguration(ValueError):
    """Why a text is not the configuration it should be."""


def configuration(raw: bytes, kind: str, versions: Iterable[str]) -> tuple[Object, str]:
    """The document, and what strict decoding says against it, "" for nothing. Raises: BadConfiguration."""
    try:
        document = decode.recognize(raw)
    except BadRequest as bad:
        raise BadConfiguration(bad.message.removeprefix("error converting YAML to JSON: ")) from bad
    found, text = document.value, raw
    for field in ("kind", "apiVersion"):
        if not found.get(field):
            raise BadConfiguration(f"Object '{field.replace('k', 'K')}' is missing in '{raw.decode(errors='replace')}'")
    if found["kind"] != kind or found["apiVersion"] not in versions:
        raise BadConfiguration(f'no kind "{found["kind"]}" is registered for version "{found["apiVersion"]}"')
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
    if name.endswith(("Configuration", "Policy")):
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
    _span(value)
    return str(value)


def duration(holder: Object, name: str) -> timedelta:
    """Of a decoded document's field; nothing where it is not told."""
    return _span(holder.get(name) or "0")


def _span(text: str) -> timedelta:
    """Raises: ValueError."""
    from pylet.api.cel.values import parse_duration

    return timedelta(microseconds=parse_duration(text).ns / 1000)
