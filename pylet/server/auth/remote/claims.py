"""From an ID token's claims to a user, as an AuthenticationConfiguration's `jwt` entry says. Pure.

Source: apiserver plugin/pkg/authenticator/token/oidc, pkg/authentication/cel, pkg/apis/apiserver/validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pylet.api.object import Object
from pylet.server.auth.authenticate import user_info
from pylet.server.auth.tokens import BadToken
from pylet.server.registry import User

if TYPE_CHECKING:
    from pylet.api.cel.program import Program


class BadMapping(ValueError):
    """What is wrong with a configuration, with its field."""


class Mapping:
    """`field` names the entry in messages. Raises: BadMapping."""

    def __init__(self, jwt: Object, field: str) -> None:
        mappings = jwt.get("claimMappings") or {}
        place = f"{field}.claimMappings"
        self._username = _Mapped(mappings.get("username") or {}, f"{place}.username")
        if not self._username.is_set:
            raise BadMapping(f"{place}.username: claim or expression is required")
        self._groups = _Mapped(mappings.get("groups") or {}, f"{place}.groups")
        self._uid = _Mapped(mappings.get("uid") or {}, f"{place}.uid")
        extra = enumerate(mappings.get("extra") or ())
        self._extra = [(one["key"], _compiled(one["valueExpression"], f"{place}.extra[{at}]")) for at, one in extra]
        self._required, self._rules = [], []
        for at, rule in enumerate(jwt.get("claimValidationRules") or ()):
            if rule.get("expression"):
                program = _compiled(rule["expression"], f"{field}.claimValidationRules[{at}]")
                self._rules.append((program, rule.get("message") or ""))
            else:
                self._required.append((rule.get("claim") or "", rule.get("requiredValue") or ""))
        rules = enumerate(jwt.get("userValidationRules") or ())
        self._user_rules = [
            (_compiled(rule["expression"], f"{field}.userValidationRules[{at}]", "user"), rule.get("message") or "")
            for at, rule in rules
        ]

    def user(self, claims: Object) -> User:
        """Raises: BadToken."""
        name = self._username.text(claims)
        if self._username.claim == "email" and claims.get("email_verified", True) is not True:
            raise BadToken("oidc: email not verified")
        if not name:
            raise BadToken("oidc: empty username via CEL expression is not allowed")
        groups = self._groups.texts(claims) if self._groups.is_set else []
        uid = self._uid.text(claims) if self._uid.is_set else ""
        extra = {
            key: _texts(_evaluated(program, "extra claim expression", claims=claims)) for key, program in self._extra
        }
        for claim, value in self._required:
            if claim not in claims:
                raise BadToken(f"oidc: required claim {claim} not present in ID token")
            if claims[claim] != value:
                why = f"Got = {claims[claim]}, want = {value}"
                raise BadToken(f"oidc: required claim {claim} value does not match. {why}")
        for program, message in self._rules:
            if _evaluated(program, "claim validation expression", claims=claims) is not True:
                raise BadToken(
                    f"oidc: error evaluating claim validation expression: validation expression "
                    f"'{program.source}' failed: {message}"
                )
        user = User(name, tuple(groups), uid, {key: values for key, values in extra.items() if values})
        shown = {"username": "", "uid": "", "groups": [], "extra": {}} | user_info(user)
        for program, message in self._user_rules:
            if _evaluated(program, "user info validation rule", user=shown) is not True:
                why = f"validation expression '{program.source}' failed: {message}"
                raise BadToken(f"oidc: error evaluating user info validation rule: {why}")
        return user


class _Mapped:
    """One claim with a prefix, or an expression."""

    def __init__(self, mapping: Object, field: str) -> None:
        self.claim: str = mapping.get("claim") or ""
        self._prefix: str = mapping.get("prefix") or ""
        self._what = field.rpartition(".")[2].removesuffix("s")
        expression = mapping.get("expression")
        if self.claim and expression:
            raise BadMapping(f"{field}: expression and claim can't both be set")
        self._program = _compiled(expression, field) if expression else None

    @property
    def is_set(self) -> bool:
        return bool(self.claim) or self._program is not None

    def text(self, claims: Object) -> str:
        value = self._value(claims)
        if not isinstance(value, str):
            raise BadToken(f"oidc: claim {self.claim or 'expression'} is not a string")
        return self._prefix + value

    def texts(self, claims: Object) -> Sequence[str]:
        if self.claim and self.claim not in claims:
            return []
        return [self._prefix + text for text in _texts(self._value(claims))]

    def _value(self, claims: Object) -> Any:
        if self._program is not None:
            return _evaluated(self._program, f"{self._what} claim expression", claims=claims)
        if self.claim not in claims:
            raise BadToken(f'oidc: parse username claims "{self.claim}": claim not present')
        return claims[self.claim]


def _texts(value: Any) -> list[str]:
    """Groups and the like may be one text or several; empty ones do not count."""
    found = [value] if isinstance(value, str) else value
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise BadToken("oidc: a claim is neither a string nor a list of strings")
    return [one for one in found if one]


def _compiled(expression: str, field: str, variable: str = "claims") -> Program:
    """Raises: BadMapping."""
    from pylet.api.cel.environment import DYN, Environment, Unfit, compile

    try:
        return compile(expression, Environment({variable: DYN}))
    except Unfit as bad:
        raise BadMapping(f"{field}.expression: {bad}") from bad


def _evaluated(program: Program, what: str, **bindings: Any) -> Any:
    """Raises: BadToken."""
    from pylet.api.cel.environment import to_json
    from pylet.api.cel.errors import CelError

    try:
        return to_json(program.evaluate(bindings))
    except CelError as bad:
        says = f"expression '{program.source}' resulted in error: {bad}"
        raise BadToken(f"oidc: error evaluating {what}: {says}") from bad
