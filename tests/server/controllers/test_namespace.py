"""A namespace that is being deleted: what may not be deleted is told of, and keeps nothing else."""

from __future__ import annotations

from pylet.api.errors import BadRequest
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.object import Key, Object
from pylet.server.controllers import namespace as namespaces
from pylet.server.reconcile.plan import Action, Controller, Delete, Patch, Update
from tests.server.controllers.picture import EARLIER, NOW, STORED, obj, pod, view

DOOMED = obj(
    "v1", "Namespace", "doomed", namespace="", meta={"deletionTimestamp": EARLIER}, spec={"finalizers": ["kubernetes"]}
)


def inside(kind: str) -> Object:
    return obj("v1", kind, "one", namespace="doomed")


def controller() -> Controller:
    return namespaces.controller(STORED)


class Emptied:
    """A namespace with a ConfigMap, a Secret and an Endpoints object, and who refuses to delete some of them."""

    def __init__(self, *objects: Object) -> None:
        self.controller = controller()
        self.objects = list(objects)

    def attempt(self, *kept: str) -> tuple[list[str], str]:
        """What is deleted, up to the first that is refused, and what the namespace's condition then says."""
        done: list[str] = []
        for action in self.controller.plan(Key("", "doomed"), view(DOOMED, *self.objects), NOW).actions:
            assert isinstance(action, Delete)
            if action.kind.name in kept:
                assert action.refused is not None
                return done, said(action.refused(BadRequest(f"not {action.kind.plural}")))
            done.append(action.kind.name)
            self.objects = [one for one in self.objects if one["kind"] != action.kind.name]
        return done, ""


def said(actions: tuple[Action, ...]) -> str:
    (action,) = actions
    assert isinstance(action, Patch)
    assert action.kind is NAMESPACE
    conditions = {one["type"]: one for one in action.patch["status"]["conditions"]}
    failed = conditions["NamespaceDeletionContentFailure"]
    assert (failed["status"], failed["reason"]) == ("True", "ContentDeletionFailed")
    return str(failed["message"])


def test_what_may_not_be_deleted_is_told_and_keeps_nothing_else() -> None:
    emptied = Emptied(inside("ConfigMap"), inside("Secret"), inside("Endpoints"))
    kept = ("ConfigMap", "Endpoints")
    tried = [emptied.attempt(*kept) for _ in range(3)]
    assert [kind for done, _ in tried for kind in done] == ["Secret"]
    both = "Failed to delete all resource types, 2 remaining: not configmaps, not endpoints"
    assert tried[-1][1] == both
    assert emptied.attempt(*kept)[1] == both
    allowed = [emptied.attempt("ConfigMap") for _ in range(3)]
    assert [kind for done, _ in allowed for kind in done] == ["Endpoints"]
    assert allowed[-1][1] == "Failed to delete all resource types, 1 remaining: not configmaps"


def test_pods_are_named() -> None:
    emptied = Emptied(pod("p") | {"metadata": {**pod("p")["metadata"], "namespace": "doomed"}}, inside("Secret"))
    done, message = emptied.attempt("Pod")
    assert done == []
    assert message.endswith("1 remaining: failed to delete pods for namespace: doomed, err: not pods")


def conditions(*objects: Object, namespace: Object = DOOMED) -> dict[str, tuple[str, str]]:
    """By type, of those that are true: reason and message."""
    (patch,) = controller().plan(Key("", "doomed"), view(namespace, *objects), NOW).actions
    assert isinstance(patch, Patch)
    found = patch.patch["status"]["conditions"]
    return {one["type"]: (one["reason"], one["message"]) for one in found if one["status"] == "True"}


def leaving(kind: str, *finalizers: str) -> Object:
    meta = {"deletionTimestamp": EARLIER, "finalizers": list(finalizers)}
    return obj("v1", kind, f"{kind}-{len(finalizers)}".lower(), namespace="doomed", meta=meta, spec={})


def test_what_stays_though_it_is_deleted_is_told_of() -> None:
    assert conditions(
        leaving("ConfigMap", "a.b/c"), leaving("ConfigMap", "a.b/c", "d.e/f"), leaving("Secret", "a.b/c")
    ) == {
        "NamespaceContentRemaining": (
            "SomeResourcesRemain",
            "Some resources are remaining: configmaps. has 2 resource instances, secrets. has 1 resource instances",
        ),
        "NamespaceFinalizersRemaining": (
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: "
            "a.b/c in 3 resource instances, d.e/f in 1 resource instances",
        ),
    }


def test_pods_that_end_are_no_content_that_remains() -> None:
    assert conditions(leaving("Pod", "a.b/c")) == {}


def test_a_namespace_that_is_empty_says_so_before_it_is_let_go() -> None:
    stuck = [{"type": "NamespaceContentRemaining", "status": "True", "reason": "SomeResourcesRemain"}]
    told = {**DOOMED, "status": {"conditions": stuck}}
    assert conditions(namespace=told) == {}
    fine = controller().plan(Key("", "doomed"), view(told), NOW).actions[0]
    assert isinstance(fine, Patch)
    emptied = {**DOOMED, "status": fine.patch["status"]}
    (update,) = controller().plan(Key("", "doomed"), view(emptied), NOW).actions
    assert isinstance(update, Update)
    assert (update.subresource, update.object["spec"]["finalizers"]) == ("finalize", [])
