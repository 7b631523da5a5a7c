"""ServiceAccounts, roles and their bindings."""

from __future__ import annotations

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl.command import Flag, many, text
from pylet.cli.kubectl.creating.maker import Maker, Request, obj, required, words
from pylet.cli.kubectl.resources import Resource

_RBAC = "rbac.authorization.k8s.io"


def _service_account(request: Request) -> Object:
    return obj("v1", "ServiceAccount", request.name)


def _role(request: Request) -> Object:
    return obj(f"{_RBAC}/v1", "Role", request.name, rules=_rules(request))


def _cluster_role(request: Request) -> Object:
    if labels := words(request.options["aggregation_rule"]):
        if any(request.options[name] for name in ("verb", "resource", "non_resource_url", "resource_name")):
            told = "aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames"
            raise Failure(f"error: {told}")
        rule = {"clusterRoleSelectors": [{"matchLabels": dict(map(_label, labels))}]}
        return obj(f"{_RBAC}/v1", "ClusterRole", request.name, aggregationRule=rule, rules=None)
    if urls := words(request.options["non_resource_url"]):
        required(request, "verb")
        rules = [{"nonResourceURLs": urls, "verbs": words(request.options["verb"])}]
        return obj(f"{_RBAC}/v1", "ClusterRole", request.name, rules=rules)
    return obj(f"{_RBAC}/v1", "ClusterRole", request.name, rules=_rules(request))


def _label(text_: str) -> tuple[str, str]:
    key, equals, value = text_.partition("=")
    if not equals:
        told = f'invalid argument "{text_}" for "--aggregation-rule" flag: malformed pair, expect string=string'
        raise Failure(f"error: {told}")
    return key.strip(), value.strip()


def _rules(request: Request) -> list[Object]:
    """A rule for each group of the resources, in the order they are named. Raises: Failure."""
    verbs = list(dict.fromkeys(words(request.options["verb"])))
    if not verbs:
        raise Failure("error: at least one verb must be specified")
    groups: dict[str, list[str]] = {}
    for word in words(request.options["resource"]):
        type_, slash, subresource = word.partition("/")
        if type_ == "*":
            groups.setdefault("", []).append(word)
            continue
        resource = _found(request, type_)
        groups.setdefault(resource.group, []).append(resource.plural + slash + subresource)
    if not groups:
        raise Failure("error: at least one resource must be specified")
    names = words(request.options["resource_name"])
    more = {"resourceNames": names} if names else {}
    return [{"apiGroups": [group], **more, "resources": found, "verbs": verbs} for group, found in groups.items()]


def _found(request: Request, type_: str) -> Resource:
    group = type_.partition(".")[2]
    try:
        return request.catalog.find(type_)
    except Failure as failure:
        if not group:
            raise
        raise Failure(f'{failure.message} in group "{group}"') from None


def _binding(request: Request) -> Object:
    roles = [(kind, request.options[flag]) for kind, flag in (("ClusterRole", "clusterrole"), ("Role", "role"))]
    given = [(kind, name) for kind, name in roles if name]
    if len(given) != 1:
        raise Failure("error: exactly one of clusterrole or role must be specified")
    return _bound(request, "RoleBinding", *given[0])


def _cluster_binding(request: Request) -> Object:
    required(request, "clusterrole")
    return _bound(request, "ClusterRoleBinding", "ClusterRole", request.options["clusterrole"])


def _bound(request: Request, kind: str, role_kind: str, role: str) -> Object:
    subjects: list[Object] = []
    for flag, subject in (("user", "User"), ("group", "Group")):
        subjects += [
            {"apiGroup": _RBAC, "kind": subject, "name": name} for name in dict.fromkeys(words(request.options[flag]))
        ]
    for account in words(request.options["serviceaccount"]):
        namespace, colon, name = account.partition(":")
        if not colon or not namespace or not name:
            raise Failure("error: serviceaccount must be <namespace>:<name>")
        subjects.append({"kind": "ServiceAccount", "name": name, "namespace": namespace})
    ref = {"apiGroup": _RBAC, "kind": role_kind, "name": role}
    return obj(f"{_RBAC}/v1", kind, request.name, roleRef=ref, **({"subjects": subjects} if subjects else {}))


_RULE: tuple[Flag, ...] = (
    many("verb", help="Verbs that are allowed."),
    many("resource", help="Resources they are allowed on."),
    many("resource-name", help="Names of the objects; all when not given."),
)
_SUBJECTS: tuple[Flag, ...] = (
    text("clusterrole", help="ClusterRole to grant."),
    many("user", help="Users to grant it to."),
    many("group", help="Groups to grant it to."),
    many("serviceaccount", help="NAMESPACE:NAME of the accounts to grant it to."),
)

MAKERS = (
    Maker(("serviceaccount", "sa"), _service_account, failing="failed to create serviceaccount:"),
    Maker(("role",), _role, _RULE, failing="failed to create role:"),
    Maker(
        ("clusterrole",),
        _cluster_role,
        (
            *_RULE,
            many("non-resource-url", help="Paths that are allowed."),
            many("aggregation-rule", help="KEY=VALUE of the ClusterRoles whose rules it has."),
        ),
        failing="failed to create clusterrole:",
    ),
    Maker(
        ("rolebinding",),
        _binding,
        (*_SUBJECTS, text("role", help="Role to grant.")),
        failing="failed to create rolebinding:",
    ),
    Maker(("clusterrolebinding",), _cluster_binding, _SUBJECTS, failing="failed to create clusterrolebinding:"),
)
