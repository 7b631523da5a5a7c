"""The authorizer as CEL expressions of admission reach it. Source: apiserver pkg/cel/library/authz.go."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pylet.server.auth import attributes
from pylet.server.auth.attributes import Attributes
from pylet.server.auth.authenticate import AUTHENTICATED
from pylet.server.auth.authorize import Authorizer
from pylet.server.registry import User

if TYPE_CHECKING:
    from pylet.api.cel.library.authorizer import Ask, Decision, Question


def ask_for(authorizer: Authorizer, user: User) -> Ask:
    """Answers an expression's questions about `user`, or about the service account it names.

    An expression cannot wait: where judges have to be asked, its evaluation is broken off until they have answered.
    """
    known: dict[Question, Decision] = {}

    async def answer(question: Question) -> None:
        known[question] = _told(await authorizer.ask(_asked(user, question)))

    def ask(question: Question) -> Decision:
        from pylet.api.cel.library.authorizer import Unanswered

        if not authorizer.has_judges:
            return _told(authorizer.decide(_asked(user, question)))
        if question not in known:
            raise Unanswered(partial(answer, question))
        return known[question]

    return ask


def _told(found: attributes.Decision) -> Decision:
    from pylet.api.cel.library.authorizer import Decision

    return Decision(found.allowed, found.reason, found.error)


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
        labels=question.label_selector,
    )
