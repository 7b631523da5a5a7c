"""Nobody grants what he does not hold: the check on writes of roles and bindings, as an admission plugin.

Who may `escalate` a role or `bind` to one is exempt. Source: pkg/registry/rbac/{escalation_check.go,*/policybased}.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from pylet.api.errors import NotFound
from pylet.api.object import Object
from pylet.server.admission.interface import CREATE, UPDATE, Plugin
from pylet.server.admission.interface import Attributes as Write
from pylet.server.auth.attributes import Attributes
from pylet.server.auth.authorize import MASTERS, Authorizer
from pylet.server.auth.rbac import Rule

_GROUP = "rbac.authorization.k8s.io"
_WRITES = frozenset({CREATE, UPDATE})
_ROLES = ("clusterroles", "roles")


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
    if write.old is not None and write.old.get("rules") == role.get("rules"):
        return
    everything = asked._replace(verb="*", group="*", resource="*")
    if role.get("aggregationRule") and not (await authorizer.ask(everything)).allowed:
        raise write.forbidden("must have cluster-admin privileges to use the aggregationRule")
    _check_held(authorizer, write, [Rule.of(rule) for rule in role.get("rules") or ()])


async def _check_binding(authorizer: Authorizer, write: Write, binding: Object) -> None:
    ref, namespace = binding["roleRef"], write.key.namespace
    plural = "clusterroles" if ref["kind"] == "ClusterRole" else "roles"
    where = "" if plural == "clusterroles" else namespace
    asked = Attributes(write.user, "bind", _GROUP, "v1", plural, namespace=namespace, name=ref["name"])
    if (await authorizer.ask(asked)).allowed:
        return
    rules = authorizer.policy.role(ref["kind"], where, ref["name"])
    if rules is None:
        raise NotFound(_GROUP, plural, ref["name"])
    _check_held(authorizer, write, rules)


def _check_held(authorizer: Authorizer, write: Write, rules: Iterable[Rule]) -> None:
    if missing := authorizer.policy.missing(write.user, write.key.namespace, rules):
        user = write.user
        groups = orjson.dumps(list(user.groups)).decode()
        listed = "\n".join(rule.described() for rule in missing)
        who = f'user "{user.name}" (groups={groups})'
        raise write.forbidden(f"{who} is attempting to grant RBAC permissions not currently held:\n{listed}")
