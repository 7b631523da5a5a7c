"""The story with Helm's own SDK (PyPI's `helm-python-sdk`): a chart with a definition, an object of it and a hook."""

import json
import sys
import tempfile
from pathlib import Path

import helm_python as helm
import pytest
from kubernetes import client, config

FILES = {
    "Chart.yaml": "{apiVersion: v2, name: story, version: 1.0.0}",
    "values.yaml": "teeth: 8",
    "crds/gears.yaml": """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gears.helm.test}
spec:
  group: helm.test
  scope: Namespaced
  names: {plural: gears, singular: gear, kind: Gear, listKind: GearList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {teeth: {type: integer, minimum: 3}}}}
""",
    "templates/gear.yaml": """
apiVersion: helm.test/v1
kind: Gear
metadata: {name: "{{ .Release.Name }}"}
spec: {teeth: {{ .Values.teeth }}}
""",
    "templates/service.yaml": """
apiVersion: v1
kind: Service
metadata:
  name: "{{ .Release.Name }}"
  annotations: {seen: "{{ .Capabilities.APIVersions.Has "apps/v1/Deployment" }} {{ .Capabilities.KubeVersion.Minor }}"}
spec: {selector: {app: story}, ports: [{port: 80}]}
""",
    "templates/hook.yaml": """
apiVersion: v1
kind: ConfigMap
metadata:
  name: hook-{{ .Release.Revision }}
  annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-delete-policy: before-hook-creation}
""",
}


def write(chart: Path) -> Path:
    for name, text in FILES.items():
        (chart / name).parent.mkdir(parents=True, exist_ok=True)
        (chart / name).write_text(text)
    return chart


config.load_kube_config(sys.argv[1])
core, custom = client.CoreV1Api(), client.CustomObjectsApi()


def teeth() -> int:
    return int(custom.get_namespaced_custom_object("helm.test", "v1", "story", "gears", "one")["spec"]["teeth"])


with (
    tempfile.TemporaryDirectory() as directory,
    helm.Config(kubeconfig_path=sys.argv[1], namespace="story") as releases,
):
    chart = write(Path(directory) / "story")
    releases.install(chart, "one", create_namespace=True, wait="watcher", timeout=60)
    assert teeth() == 8
    assert core.read_namespaced_service("one", "story").metadata.annotations["seen"] == "true 36"
    releases.upgrade(chart, "one", {"teeth": 12}, wait="watcher", timeout=60)
    assert teeth() == 12
    with pytest.raises(helm.HelmError, match="should be greater than or equal to 3"):
        releases.upgrade(chart, "one", {"teeth": 1}, timeout=60)
    releases.rollback("one", version=1, timeout=60)
    assert teeth() == 8
    states = [revision["status"] for revision in releases.history("one")]
    assert states == ["superseded", "superseded", "failed", "deployed"], json.dumps(releases.history("one"))
    assert {found.metadata.name for found in core.list_namespaced_config_map("story").items} >= {"hook-1", "hook-2"}
    releases.uninstall("one", wait="watcher", timeout=60)
    assert custom.list_namespaced_custom_object("helm.test", "v1", "story", "gears")["items"] == []
    assert core.list_namespaced_service("story").items == []
core.delete_namespace("story")
print("done")
