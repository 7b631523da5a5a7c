"""ServiceAccounts, roles and their bindings. Source: kubectl `create_role.go`, `create_clusterrole.go`."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api.object import Object
from pylet.cli.failure import Failure, warn
from pylet.cli.kubectl.command import Flag, many, text
from pylet.cli.kubectl.creating.maker import Maker, Request, obj, required, words

_RBAC = "rbac.authorization.k8s.io"
_VERBS = (
    *("*", "get", "delete", "list", "create", "update", "patch", "watch", "proxy"),
    *("deletecollection", "use", "bind", "escalate", "impersonate"),
)
_URL_VERBS = ("*", "get", "post", "put", "delete", "patch", "head", "options")
_ROLES = ((_RBAC, "roles"), (_RBAC, "clusterroles"))
_OWN_VERBS = {
    "use": (("policy", "podsecuritypolicies"), ("extensions", "podsecuritypolicies")),
    "bind": _ROLES,
    "escalate": _ROLES,
    "impersonate": (("", "users"), ("", "serviceaccounts"), ("", "groups"), ("authentication.k8s.io", "userextras")),
}
"""Verbs of some resources alone."""


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
    urls = list(dict.fromkeys(words(request.options["non_resource_url"])))
    verbs = _verbs(request)
    if not urls and not words(request.options["resource"]):
        raise Failure("error: one of resource or nonResourceURL must be specified")
    rules = _rules(request) if words(request.options["resource"]) else []
    if urls:
        _check_urls(urls, verbs)
        rules.append({"nonResourceURLs": urls, "verbs": verbs})
    return obj(f"{_RBAC}/v1", "ClusterRole", request.name, rules=rules)


def _check_urls(urls: Sequence[str], verbs: Sequence[str]) -> None:
    """Raises: Failure."""
    for verb in verbs:
        if verb not in _URL_VERBS:
            raise Failure(f"error: invalid verb: '{verb}' for nonResourceURL")
    for url in urls:
        if url != "*" and not url.startswith("/"):
            raise Failure("error: nonResourceURL should start with /")
        if "*" in url[:-1]:
            raise Failure("error: nonResourceURL only supports wildcard matches when '*' is at the end")


def _label(text_: str) -> tuple[str, str]:
    key, equals, value = text_.partition("=")
    if not equals:
        told = f'invalid argument "{text_}" for "--aggregation-rule" flag: malformed pair, expect string=string'
        raise Failure(f"error: {told}")
    return key.strip(), value.strip()


def _verbs(request: Request) -> list[str]:
    """Raises: Failure."""
    verbs = list(dict.fromkeys(words(request.options["verb"])))
    if not verbs:
        raise Failure("error: at least one verb must be specified")
    return ["*"] if "*" in verbs else verbs


def _rules(request: Request) -> list[Object]:
    """A rule for each group of the resources. Raises: Failure."""
    verbs = _verbs(request)
    groups: dict[str, dict[str, None]] = {}
    for word in words(request.options["resource"]):
        if word == "*":
            groups = {"": {word: None}}
            break
        type_, slash, subresource = word.partition("/")
        group, plural = _found(request, type_, verbs)
        groups.setdefault(group, {})[plural + slash + subresource] = None
    if not groups:
        raise Failure("error: at least one resource must be specified")
    for verb in verbs:
        if verb not in _VERBS:
            warn(f"'{verb}' is not a standard resource verb")
    names = list(dict.fromkeys(request.options["resource_name"]))
    more = {"resourceNames": names} if names else {}
    return [{"apiGroups": [group], **more, "resources": [*groups[group]], "verbs": verbs} for group in sorted(groups)]


def _found(request: Request, type_: str, verbs: Sequence[str]) -> tuple[str, str]:
    """Group and plural of a resource that all the verbs fit; some verbs are for resources that no server has.

    Raises: Failure.
    """
    name, _, group = type_.partition(".")
    if name == "*":
        return group, name
    missing = None
    try:
        resource = request.catalog.find(type_)
        group, name = resource.group, resource.plural
    except Failure as failure:
        missing = failure.message.removeprefix("error: ") + (f' in group "{group}"' if group else "")
    for verb in verbs:
        if (group, name) in _OWN_VERBS.get(verb, ()):
            missing = None
        elif verb in _OWN_VERBS:
            raise Failure(f"error: can not perform '{verb}' on '{name}' in group '{group}'")
    if missing is not None:
        raise Failure(missing)
    return group, name


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
        subjects += [{"apiGroup": _RBAC, "kind": subject, "name": name} for name in request.options[flag]]
    for account in request.options["serviceaccount"]:
        namespace, _, name = account.partition(":")
        if not name or ":" in name:
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
