"""The story with PyPI's `kr8s`, custom resources included."""

import sys

import kr8s
from kr8s.objects import ConfigMap, CustomResourceDefinition, Namespace, new_class

api = kr8s.api(kubeconfig=sys.argv[1])
Namespace({"metadata": {"name": "story"}}, api=api).create()
config = ConfigMap({"metadata": {"name": "c", "namespace": "story"}, "data": {"a": "1"}}, api=api)
config.create()
config.patch({"data": {"b": "2"}})
config.label(of="story")
(found,) = api.get("configmaps", namespace="story", label_selector="of=story")
assert found.data == {"a": "1", "b": "2"}, found.data
schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
definition = CustomResourceDefinition(
    {
        "metadata": {"name": "gadgets.story.test"},
        "spec": {
            "group": "story.test",
            "scope": "Namespaced",
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    },
    api=api,
)
definition.create()
while not definition.status.conditions:  # null at first, which kr8s cannot wait on
    definition.refresh()
definition.wait("condition=Established", timeout=60)
Gadget = new_class(kind="Gadget", version="story.test/v1", namespaced=True)
Gadget({"metadata": {"name": "g", "namespace": "story"}, "spec": {"x": 1}}, api=api).create()
(gadget,) = api.get(Gadget, namespace="story")
assert gadget.spec.x == 1
gadget.delete()
definition.delete()
config.delete()
print("done")
