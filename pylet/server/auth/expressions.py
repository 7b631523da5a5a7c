"""The authorizer as CEL expressions of admission reach it. Source: apiserver pkg/cel/library/authz.go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pylet.api.errors import ApiError
from pylet.server.auth.attributes import Attributes
from pylet.server.auth.authenticate import AUTHENTICATED
from pylet.server.auth.authorize import Authorizer
from pylet.server.registry import User

if TYPE_CHECKING:
    from pylet.api.cel.library.authorizer import Ask, Decision, Question


def ask_for(authorizer: Authorizer, user: User) -> Ask:
    """Answers an expression's questions about `user`, or about the service account it names."""

    def ask(question: Question) -> Decision:
        from pylet.api.cel.library.authorizer import Decision

        try:
            found = authorizer.decide(_asked(user, question))
        except ApiError as failed:
            return Decision(allowed=False, error=failed.message)
        return Decision(found.allowed, found.reason, found.error)

    return ask


def _asked(user: User, question: Question) -> Attributes:
    if question.service_account is not None:
        namespace, name = question.service_account
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        user = User(f"system:serviceaccount:{namespace}:{name}", groups)
    if question.path is not None:
        return Attributes(user, question.verb, path=question.path)
    return Attributes(
        user,
        question.verb,
        question.group,
        "*",
        question.resource,
        question.subresource,
        question.namespace,
        question.name,
        fields=question.field_selector,
    )
