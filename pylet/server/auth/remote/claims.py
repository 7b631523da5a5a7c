"""From an ID token's claims to a user, as an AuthenticationConfiguration's `jwt` entry says. Pure.

Source: apiserver plugin/pkg/authenticator/token/oidc, pkg/authentication/cel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pylet.api.object import Object
from pylet.api.schema import Mismatch
from pylet.server.auth.authenticate import CREDENTIAL, user_info
from pylet.server.auth.tokens import BadToken
from pylet.server.registry import User

if TYPE_CHECKING:
    from pylet.api.cel.program import Program

_EVALUATING = "oidc: error evaluating"


class ClaimMappings:
    """Of a valid entry of `jwt`: which claims, or what expressions over them, are which of a user's attributes."""

    def __init__(self, jwt: Object) -> None:
        mappings = jwt["claimMappings"]
        self._username = _Mapped(mappings["username"], "username")
        self._groups = _Mapped(mappings.get("groups") or {}, "group")
        self._uid = _Mapped(mappings.get("uid") or {}, "uid")
        self._extra = [(one["key"], _compiled(one["valueExpression"])) for one in mappings.get("extra") or ()]
        rules = jwt.get("claimValidationRules") or ()
        self._required = [(rule["claim"], rule.get("requiredValue") or "") for rule in rules if rule.get("claim")]
        self._rules = [
            (_compiled(rule["expression"]), rule.get("message") or "") for rule in rules if rule.get("expression")
        ]
        self._user_rules = [
            (_compiled(rule["expression"], of_user=True), rule.get("message") or "")
            for rule in jwt.get("userValidationRules") or ()
        ]

    def user(self, claims: Object) -> User:
        """Raises: BadToken."""
        name = self._username.text(claims)
        if self._username.claim == "email":
            _check_verified(claims.get("email_verified", True))
        if not name and not self._username.claim:
            raise BadToken("oidc: empty username via CEL expression is not allowed")
        groups = self._groups.texts(claims) if self._groups.is_set else []
        uid = self._uid.text(claims) if self._uid.is_set else ""
        token_id = claims.get("jti")
        extra = {CREDENTIAL: [f"JTI={token_id}"]} if token_id and isinstance(token_id, str) else {}
        for key, program in self._extra:
            found = _evaluated(program, "", claims=claims)
            extra[key] = _texts(found, f"extra claim expression: {program.source}")
        for claim, value in self._required:
            if claim not in claims:
                raise BadToken(f"oidc: required claim {claim} not present in ID token")
            if (has := _claim(claims, claim, f"parse claim {claim}")) != value:
                raise BadToken(f"oidc: required claim {claim} value does not match. Got = {has}, want = {value}")
        for program, message in self._rules:
            if _evaluated(program, f"{_EVALUATING} claim validation expression: ", claims=claims) is not True:
                raise BadToken(
                    f"oidc: error evaluating claim validation expression: validation expression "
                    f"'{program.source}' failed: {message}"
                )
        user = User(name, tuple(groups), uid, {key: values for key, values in extra.items() if values})
        shown = {"username": "", "uid": "", "groups": [], "extra": {}} | user_info(user)
        for program, message in self._user_rules:
            if _evaluated(program, f"{_EVALUATING} user info validation rule: ", user=shown) is not True:
                why = f"validation expression '{program.source}' failed: {message}"
                raise BadToken(f"oidc: error evaluating user info validation rule: {why}")
        return user


class _Mapped:
    """One claim with a prefix, or an expression."""

    def __init__(self, mapping: Object, what: str) -> None:
        self.claim: str = mapping.get("claim") or ""
        self._prefix: str = mapping.get("prefix") or ""
        self._what = what
        expression = mapping.get("expression")
        self._program = _compiled(expression) if expression else None

    @property
    def is_set(self) -> bool:
        return bool(self.claim) or self._program is not None

    def text(self, claims: Object) -> str:
        """Raises: BadToken."""
        if self._program is None:
            what = "username claims" if self._what == "username" else f"{self._what} claim"
            return self._prefix + _claim(claims, self.claim, f'parse {what} "{self.claim}"')
        value = self._value(self._program, claims)
        if not isinstance(value, str):
            expression = f"{self._what} claim expression"
            raise BadToken(f"{_EVALUATING} {expression}: {expression} must return a string")
        return value

    def texts(self, claims: Object) -> Sequence[str]:
        """Raises: BadToken."""
        if self._program is not None:
            return _texts(self._value(self._program, claims), f"{self._what} claim expression")
        value = claims.get(self.claim)
        if isinstance(value, list) and all(one is None or isinstance(one, str) for one in value):
            return [self._prefix + (one or "") for one in value]
        return (
            [] if value is None else [self._prefix + _claim(claims, self.claim, f'parse groups claim "{self.claim}"')]
        )

    def _value(self, program: Program, claims: Object) -> Any:
        return _evaluated(program, f"{_EVALUATING} {self._what} claim expression: ", claims=claims)


def _check_verified(verified: Any) -> None:
    """Raises: BadToken."""
    if verified is not None and not isinstance(verified, bool):
        raise BadToken(f"oidc: parse 'email_verified' claim: {Mismatch(verified, 'bool')}")
    if not verified:
        raise BadToken("oidc: email not verified")


def _claim(claims: Object, name: str, parsing: str) -> str:
    """Raises: BadToken."""
    if name not in claims:
        raise BadToken(f"oidc: {parsing}: claim not present")
    value = claims[name]
    if value is not None and not isinstance(value, str):
        raise BadToken(f"oidc: {parsing}: {Mismatch(value, 'string')}")
    return value or ""


def _texts(value: Any, what: str) -> list[str]:
    """What an expression answers may be one text or several; empty ones do not count. Raises: BadToken."""
    found = [value] if isinstance(value, str) else value
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise BadToken(f"{_EVALUATING} {what}: expression must return a string or a list of strings")
    return [one for one in found if one]


def _compiled(expression: str, *, of_user: bool = False) -> Program:
    """CEL is loaded for the first."""
    from pylet.api.cel.claims import compile_claims, compile_user_rule

    return compile_user_rule(expression) if of_user else compile_claims(expression)


def _evaluated(program: Program, failing: str, **bindings: Any) -> Any:
    """`failing` is what is told before the reason. Raises: BadToken."""
    from pylet.api.cel.environment import to_json
    from pylet.api.cel.errors import CelError

    try:
        return to_json(program.evaluate(bindings))
    except CelError as bad:
        raise BadToken(f"{failing}expression '{program.source}' resulted in error: {bad}") from bad
