"""Nobody grants what he does not hold: the check on writes of roles and bindings, as an admission plugin.

Who may `escalate` a role or `bind` to one is exempt. Source: pkg/registry/rbac/{escalation_check.go,*/policybased}.
"""

from __future__ import annotations

from collections.abc import Iterable

from pylet.api.causes import quoted
from pylet.api.errors import BadRequest, NotFound, aggregated
from pylet.api.object import Object
from pylet.server.admission.interface import CREATE, UPDATE, Plugin
from pylet.server.admission.interface import Attributes as Write
from pylet.server.auth.attributes import Attributes
from pylet.server.auth.authorize import MASTERS, Authorizer
from pylet.server.auth.rbac import Rule, described

_GROUP = "rbac.authorization.k8s.io"
_WRITES = frozenset({CREATE, UPDATE})
_ROLES = ("clusterroles", "roles")
_EVERYTHING = (
    Rule.of({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
    Rule.of({"verbs": ["*"], "nonResourceURLs": ["*"]}),
)
_COLLECTED_BY = ("ownerReferences", "finalizers", "managedFields")


def plugin(authorizer: Authorizer) -> Plugin:
    async def admit(write: Write) -> None:
        if write.obj is not None and write.kind.group == _GROUP and MASTERS not in write.user.groups:
            if write.kind.plural in _ROLES:
                await _check_role(authorizer, write, write.obj)
            else:
                await _check_binding(authorizer, write, write.obj)

    return Plugin(
        "RBACEscalation", {plural: _WRITES for plural in (*_ROLES, "clusterrolebindings", "rolebindings")}, admit
    )


async def _check_role(authorizer: Authorizer, write: Write, role: Object) -> None:
    asked = Attributes(
        write.user, "escalate", _GROUP, "v1", write.kind.plural, namespace=write.key.namespace, name=write.name
    )
    if (await authorizer.ask(asked)).allowed:
        return
    if _is_collectors(role, write.old):
        return
    _check_held(authorizer, write, [Rule.of(rule) for rule in role.get("rules") or ()])
    aggregates = any(_selectors(one) for one in (role, write.old or {}))
    if aggregates and authorizer.policy.missing(write.user, write.key.namespace, _EVERYTHING):
        raise write.forbidden("must have cluster-admin privileges to use the aggregationRule")


def _selectors(role: Object) -> object:
    return (role.get("aggregationRule") or {}).get("clusterRoleSelectors")


def _is_collectors(obj: Object, old: Object | None) -> bool:
    """Whether nothing changes but what the garbage collector needs to."""
    return old is not None and _but_collectors(obj) == _but_collectors(old)


def _but_collectors(obj: Object) -> Object:
    meta = {name: value for name, value in obj["metadata"].items() if name not in (*_COLLECTED_BY, "resourceVersion")}
    return {**obj, "metadata": meta}


async def _check_binding(authorizer: Authorizer, write: Write, binding: Object) -> None:
    ref, namespace = binding["roleRef"], write.key.namespace
    if _is_collectors(binding, write.old) or ref["kind"] not in ("ClusterRole", "Role"):  # whose rules refuse others
        return
    plural = "clusterroles" if ref["kind"] == "ClusterRole" else "roles"
    where = "" if plural == "clusterroles" else namespace
    asked = Attributes(write.user, "bind", _GROUP, "v1", plural, namespace=namespace, name=ref["name"])
    if (await authorizer.ask(asked)).allowed:
        return
    if plural == "roles" and not namespace:
        raise BadRequest("Namespace parameter required.")
    rules = authorizer.policy.role(ref["kind"], where, ref["name"])
    if rules is None:
        raise NotFound(_GROUP, write.kind.plural, ref["name"])  # the request's kind, as upstream names it
    _check_held(authorizer, write, rules)


def _check_held(authorizer: Authorizer, write: Write, rules: Iterable[Rule]) -> None:
    if missing := authorizer.policy.missing(write.user, write.key.namespace, rules):
        user = write.user
        groups = " ".join(map(quoted, user.groups))
        listed = "\n".join(described(missing))
        who = f'user "{user.name}" (groups=[{groups}])'
        unresolved = authorizer.policy.unresolved(user, write.key.namespace)
        beside = f"; resolution errors: [{aggregated(unresolved)}]" if unresolved else ""
        raise write.forbidden(f"{who} is attempting to grant RBAC permissions not currently held:\n{listed}{beside}")
