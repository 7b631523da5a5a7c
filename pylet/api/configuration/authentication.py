"""What is wrong with an AuthenticationConfiguration.

Source: apiserver pkg/apis/apiserver/validation/validation.go, pkg/authentication/cel/compile.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pylet.api import causes
from pylet.api.errors import Cause
from pylet.api.object import Object
from pylet.api.references import domain_prefixed_path

if TYPE_CHECKING:
    from pylet.api.cel.program import Program

KIND = "AuthenticationConfiguration"
VERSIONS = tuple(f"apiserver.config.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
_MOST = 64
_ANY = "MatchAny"
_BOTH, _EITHER = "claim and expression can't both be set", "claim or expression is required"
_NO_PREFIX = "prefix is required when claim is set. It can be set to an empty string to disable prefixing"
_RESERVED = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"
_UNVERIFIED = (
    "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression "
    "or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression"
)


def problems(config: Object, own_issuers: Sequence[str], distrusted: Callable[[str], str]) -> Iterator[Cause]:
    """`own_issuers` are the server's, `distrusted` says why a PEM bundle is none, "" where it is one."""
    issuers = config.get("jwt") or ()
    if len(issuers) > _MOST:
        yield causes.too_many("jwt", len(issuers), _MOST)
    else:
        yield from _issuers(issuers, own_issuers, distrusted)
    anonymous = config.get("anonymous") or {}
    conditions = anonymous.get("conditions") or ()
    if conditions and not anonymous.get("enabled"):
        shown = [causes.Struct(Path=one.get("path") or "") for one in conditions]
        yield causes.invalid("anonymous.conditions", shown, "enabled should be set to true when conditions are defined")


def _issuers(
    issuers: Sequence[Object], own_issuers: Sequence[str], distrusted: Callable[[str], str]
) -> Iterator[Cause]:
    seen: set[tuple[str, str]] = set()
    for at, jwt in enumerate(issuers):
        where, issuer = f"jwt[{at}]", jwt.get("issuer") or {}
        yield from _issuer(issuer, f"{where}.issuer", own_issuers, distrusted)
        expressions = _Expressions()
        yield from _claim_rules(jwt.get("claimValidationRules") or (), f"{where}.claimValidationRules", expressions)
        yield from _mappings(jwt.get("claimMappings") or {}, f"{where}.claimMappings", expressions)
        yield from _user_rules(jwt.get("userValidationRules") or (), f"{where}.userValidationRules")
        for name in ("url", "discoveryURL"):
            url = issuer.get(name) or ""
            if (name, url) in seen and (url or name == "url"):
                yield causes.duplicate(f"{where}.issuer.{name}", url)
            seen.add((name, url))


def _issuer(issuer: Object, where: str, own: Sequence[str], distrusted: Callable[[str], str]) -> Iterator[Cause]:
    url, discovery, field = issuer.get("url") or "", issuer.get("discoveryURL") or "", f"{where}.discoveryURL"
    if not url:
        yield causes.required(f"{where}.url")
    else:
        if url in own:
            why = f"URL must not overlap with disallowed issuers: [{' '.join(sorted(own))}]"
            yield causes.invalid(f"{where}.url", url, why)
        yield from _url(url, f"{where}.url")
    if discovery and url.rstrip("/") == discovery.rstrip("/"):
        yield causes.invalid(field, discovery, "discoveryURL must be different from URL")
    if discovery:
        yield from _url(discovery, field)
    yield from _audiences(issuer.get("audiences") or (), issuer.get("audienceMatchPolicy") or "", where)
    bundle, egress = issuer.get("certificateAuthority"), issuer.get("egressSelectorType")
    if bundle and (why := distrusted(bundle)):
        yield causes.invalid(f"{where}.certificateAuthority", "<omitted>", why)
    if egress and egress not in ("controlplane", "cluster"):
        why = "egress selector must be either controlplane or cluster"
        yield causes.invalid(f"{where}.egressSelectorType", egress, why)


def _url(text: str, field: str) -> Iterator[Cause]:
    from pylet.api.cel.library.urls import parse_url

    try:
        parse_url(text)
    except ValueError as bad:
        if not str(bad).endswith("invalid URI for request"):  # which url.Parse takes for a path
            yield causes.invalid(field, text, str(bad))
            return
    parts = urlsplit(text)
    wrong = {
        "URL scheme must be https": parts.scheme != "https",
        "URL must not contain a username or password": "@" in parts.netloc,
        "URL must not contain a query": parts.query,
        "URL must not contain a fragment": parts.fragment,
    }
    yield from (causes.invalid(field, text, why) for why, is_so in wrong.items() if is_so)


def _audiences(audiences: Sequence[str], policy: str, where: str) -> Iterator[Cause]:
    field = f"{where}.audiences"
    if not audiences:
        yield causes.required(field, f"at least one {field} is required")
        return
    for at, audience in enumerate(audiences):
        if not audience:
            yield causes.required(f"{field}[{at}]")
        if audience in audiences[:at]:
            yield causes.duplicate(f"{field}[{at}]", audience)
    if len(audiences) > 1 and policy != _ANY:
        why = "audienceMatchPolicy must be MatchAny for multiple audiences"
        yield causes.invalid(f"{where}.audienceMatchPolicy", policy, why)
    elif policy not in ("", _ANY):
        why = "audienceMatchPolicy must be empty or MatchAny for single audience"
        yield causes.invalid(f"{where}.audienceMatchPolicy", policy, why)


class _Expressions:
    """Compiles those about claims, and remembers whether one of them looks whether the mail address is verified."""

    def __init__(self) -> None:
        self.looks = False

    def check(self, text: str, field: str, *, is_rule: bool = False, counts: bool = True) -> Iterator[Cause]:
        """`counts`: what it looks at is remembered."""
        from pylet.api.cel.claims import compile_claims, looks_at
        from pylet.api.cel.environment import Unfit

        try:
            program: Program = compile_claims(text, is_rule=is_rule)
        except Unfit as unfit:
            yield causes.invalid(field, text, str(unfit))
        else:
            self.looks |= counts and looks_at(program, "email_verified")


def _claim_rules(rules: Sequence[Object], where: str, expressions: _Expressions) -> Iterator[Cause]:
    seen: set[tuple[str, str]] = set()
    for at, rule in enumerate(rules):
        field = f"{where}[{at}]"
        claim, expression = rule.get("claim") or "", rule.get("expression") or ""
        if claim and expression:
            yield causes.invalid(field, claim, _BOTH)
        elif not claim and not expression:
            yield causes.required(field, _EITHER)
        elif claim:
            if rule.get("message"):
                yield causes.invalid(f"{field}.message", rule["message"], "may not be specified when claim is set")
            if ("claim", claim) in seen:
                yield causes.duplicate(f"{field}.claim", claim)
        else:
            if value := rule.get("requiredValue"):
                yield causes.invalid(f"{field}.requiredValue", value, "may not be specified when expression is set")
            if ("", expression) in seen:
                yield causes.duplicate(f"{field}.expression", expression)
            else:
                yield from expressions.check(expression, f"{field}.expression", is_rule=True)
        if not (claim and expression):
            seen.add(("claim", claim) if claim else ("", expression))


def _mappings(mappings: Object, where: str, expressions: _Expressions) -> Iterator[Cause]:
    username = mappings.get("username") or {}
    yield from _mapped(username, f"{where}.username", expressions)
    groups = mappings.get("groups") or {}
    yield from _mapped(groups, f"{where}.groups", expressions, is_required=False, counts=False)
    uid = mappings.get("uid") or {}
    if uid.get("claim") and uid.get("expression"):
        yield causes.invalid(f"{where}.uid", "", _BOTH)
    elif uid.get("expression"):
        yield from expressions.check(uid["expression"], f"{where}.uid.expression", counts=False)
    yield from _extra(mappings.get("extra") or (), f"{where}.extra", expressions)
    if not expressions.looks and (text := username.get("expression")) and not username.get("claim"):
        yield from _unverified(text, f"{where}.username.expression")


def _unverified(text: str, field: str) -> Iterator[Cause]:
    from pylet.api.cel.claims import compile_claims, looks_at
    from pylet.api.cel.environment import Unfit

    try:
        if looks_at(compile_claims(text), "email"):
            yield causes.invalid(field, text, _UNVERIFIED)
    except Unfit:
        return  # which has been said


def _mapped(
    mapping: Object, where: str, expressions: _Expressions, *, is_required: bool = True, counts: bool = True
) -> Iterator[Cause]:
    claim, expression, prefix = mapping.get("claim"), mapping.get("expression"), mapping.get("prefix")
    if claim and expression:
        yield causes.invalid(where, "", _BOTH)
    elif expression:
        if prefix is not None:
            yield causes.invalid(f"{where}.prefix", prefix, "may not be specified when expression is set")
        yield from expressions.check(expression, f"{where}.expression", counts=counts)
    elif claim:
        if prefix is None:
            yield causes.required(f"{where}.prefix", _NO_PREFIX)
    elif is_required:
        yield causes.required(where, _EITHER)


def _extra(extra: Sequence[Object], where: str, expressions: _Expressions) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, one in enumerate(extra):
        field, key, expression = f"{where}[{at}]", one.get("key") or "", one.get("valueExpression") or ""
        yield from _key(key, f"{field}.key")
        if key in seen:
            yield causes.duplicate(f"{field}.key", key)
            continue
        seen.add(key)
        if not expression:
            yield causes.required(f"{field}.valueExpression")
        else:
            yield from expressions.check(expression, f"{field}.valueExpression")


def _key(key: str, field: str) -> Iterator[Cause]:
    yield from domain_prefixed_path(key, field)
    if key != key.lower():
        yield causes.invalid(field, key, "must be lowercase")
    if "/" in key and f".{key.partition('/')[0]}".endswith((".kubernetes.io", ".k8s.io")):
        yield causes.invalid(field, key, _RESERVED)


def _user_rules(rules: Sequence[Object], where: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, rule in enumerate(rules):
        field, expression = f"{where}[{at}].expression", rule.get("expression") or ""
        if not expression:
            yield causes.required(field)
        elif expression in seen:
            yield causes.duplicate(field, expression)
        else:
            seen.add(expression)
            from pylet.api.cel.claims import compile_user_rule
            from pylet.api.cel.environment import Unfit

            try:
                compile_user_rule(expression)
            except Unfit as unfit:
                yield causes.invalid(field, expression, str(unfit))
