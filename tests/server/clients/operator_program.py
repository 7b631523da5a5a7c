"""An operator of widgets, as kopf runs it: defaults and refusals by webhook, and a ConfigMap for each widget."""

from __future__ import annotations

import os
from typing import Any

import kopf
import kubernetes

_TLS = os.environ["OPERATOR_TLS"]


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    kubernetes.config.load_kube_config(os.environ["KUBECONFIG"])
    settings.admission.server = kopf.WebhookServer(
        addr="127.0.0.1",
        host="127.0.0.1",
        cafile=f"{_TLS}/ca.crt",
        certfile=f"{_TLS}/serving-apiserver.crt",
        pkeyfile=f"{_TLS}/serving-apiserver.key",
    )
    settings.admission.managed = "hooks.widgets.test"


@kopf.on.mutate("widgets.test", "v1", "widgets", operations=["CREATE"])
def default(spec: Any, patch: Any, **_: Any) -> None:
    if "size" not in spec:
        patch.spec["size"] = 3


@kopf.on.validate("widgets.test", "v1", "widgets")
def check(spec: Any, warnings: list[str], **_: Any) -> None:
    if spec.get("size", 0) > 10:
        raise kopf.AdmissionError("too large", code=422)
    if spec.get("size", 0) == 10:
        warnings.append("that is as large as it gets")


@kopf.on.create("widgets.test", "v1", "widgets")
def create(spec: Any, name: str, namespace: str, **_: Any) -> Any:
    body = {"metadata": {"name": name}, "data": {"size": str(spec["size"])}}
    kopf.adopt(body)
    kubernetes.client.CoreV1Api().create_namespaced_config_map(namespace, body)
    return {"made": name}


@kopf.on.update("widgets.test", "v1", "widgets", field="spec.size")
def update(new: int, name: str, namespace: str, **_: Any) -> None:
    kubernetes.client.CoreV1Api().patch_namespaced_config_map(name, namespace, {"data": {"size": str(new)}})


@kopf.on.delete("widgets.test", "v1", "widgets")
def delete(**_: Any) -> None:
    """Its finalizer is let go; the ConfigMap follows its owner."""
