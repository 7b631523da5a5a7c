"""The story with PyPI's `kubernetes`: create, watch, patch, apply, conflict, page, delete."""

import sys

import pytest
from kubernetes import client, config, watch

config.load_kube_config(sys.argv[1])
core, apps = client.CoreV1Api(), client.AppsV1Api()
core.create_namespace({"metadata": {"name": "story"}})
for number in range(5):
    core.create_namespaced_config_map("story", {"metadata": {"name": f"m{number}", "labels": {"of": "story"}}})
page = core.list_namespaced_config_map("story", label_selector="of=story", limit=2)
rest = core.list_namespaced_config_map("story", label_selector="of=story", _continue=page.metadata._continue)
assert (len(page.items), len(rest.items), page.metadata.remaining_item_count) == (2, 3, None), page.metadata
seen = []
for event in watch.Watch().stream(
    core.list_namespaced_config_map, "story", label_selector="of=story", timeout_seconds=60
):
    seen.append((event["type"], event["object"].metadata.name))
    if len(seen) == 5:
        break
assert {name for _, name in seen} == {f"m{number}" for number in range(5)}, seen
core.patch_namespaced_config_map("m0", "story", {"data": {"a": "1"}})
stale = core.read_namespaced_config_map("m0", "story")
core.patch_namespaced_config_map("m0", "story", {"data": {"a": "2"}})
stale.data["a"] = "3"
with pytest.raises(client.ApiException, match="the object has been modified") as refused:
    core.replace_namespaced_config_map("m0", "story", stale)
assert refused.value.status == 409
container = {"name": "c", "image": "example.test/c:1"}
template = {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [container]}}
spec = {"selector": {"matchLabels": {"app": "d"}}, "template": template}
made = apps.create_namespaced_deployment("story", {"metadata": {"name": "d"}, "spec": spec})
assert (made.spec.replicas, made.spec.strategy.type) == (1, "RollingUpdate")
scale = apps.patch_namespaced_deployment_scale("d", "story", {"spec": {"replicas": 3}})
assert scale.spec.replicas == 3
core.delete_namespace("story")
print("done")
