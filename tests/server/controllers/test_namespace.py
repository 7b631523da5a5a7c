"""A namespace that is being deleted: what may not be deleted is told of, and keeps nothing else."""

from __future__ import annotations

from pylet.api.errors import BadRequest
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.object import Key, Object
from pylet.server.controllers import namespace
from pylet.server.reconcile.plan import Action, Delete, Patch
from tests.server.controllers.picture import EARLIER, NOW, STORED, obj, pod, view

DOOMED = obj(
    "v1", "Namespace", "doomed", namespace="", meta={"deletionTimestamp": EARLIER}, spec={"finalizers": ["kubernetes"]}
)


def inside(kind: str) -> Object:
    return obj("v1", kind, "one", namespace="doomed")


class Emptied:
    """A namespace with a ConfigMap, a Secret and an Endpoints object, and who refuses to delete some of them."""

    def __init__(self, *objects: Object) -> None:
        self.controller = namespace.controller(STORED)
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
