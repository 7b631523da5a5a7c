"""Every pod runs as a ServiceAccount that exists, and finds its token, the cluster's CA and its namespace mounted.

Source: plugin/pkg/admission/serviceaccount.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from pylet.api.containers import planned
from pylet.api.errors import Forbidden
from pylet.api.object import Key, Object, annotations_of
from pylet.api.podspec.apireferences import container_secrets_by_variable, secrets
from pylet.client.view import Entry, Table
from pylet.server.admission.interface import CREATE, UPDATE, Attributes, Plugin
from pylet.server.suffix import random_suffix

_VOLUME = "kube-api-access-"
_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_SECONDS = 3607  # upstream's mark for tokens whose age is only warned about
_MIRROR = "kubernetes.io/config.mirror"
_ENFORCE = "kubernetes.io/enforce-mountable-secrets"
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_WORDS = {"initContainers": "init container", "containers": "container", "ephemeralContainers": "ephemeral container"}
_WAIT_SECONDS = 1.5  # the controller that makes `default` in a new namespace may still be at it


async def admit(write: Attributes) -> None:
    pod = write.obj
    assert pod is not None
    spec = pod["spec"]
    if write.old is not None:
        return
    if _MIRROR in annotations_of(pod):
        await validate(write)
        return
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    key = Key(write.key.namespace, name)
    entry = await _find(write.table("ServiceAccount"), key)
    if entry is None:
        raise _not_found(write, name)
    account = entry.object
    if _wants_token(account, spec):
        mount_token(spec)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]
    await validate(write)


async def validate(write: Attributes) -> None:
    pod = write.obj
    assert pod is not None
    spec = pod["spec"]
    if write.old is None and _MIRROR in annotations_of(pod):
        _check_mirror_pod(write, spec)
        return
    name = spec.get("serviceAccountName")
    if not name:
        raise write.forbidden(f"no service account specified for pod {write.key.namespace}/{write.key.name}")
    entry = write.table("ServiceAccount").entries.get(Key(write.key.namespace, name))
    if entry is None:
        raise _not_found(write, name)
    if b"enforce-mountable-secrets" in entry.raw and annotations_of(entry.object).get(_ENFORCE) in _TRUE:
        is_allowed = {found.get("name") for found in entry.object.get("secrets") or ()}.__contains__
        for why in _strange_secrets(spec, is_allowed, only_ephemeral=write.old is not None):
            raise write.forbidden(f"{why} is not allowed because service account {name} does not reference that secret")
        pulls = {found.get("name") for found in entry.object.get("imagePullSecrets") or ()}
        for position, found in enumerate(spec.get("imagePullSecrets") or () if write.old is None else ()):
            if found.get("name") not in pulls:
                raise write.forbidden(
                    f'imagePullSecrets[{position}].name="{found.get("name", "")}" is not allowed because '
                    f"service account {name} does not reference that imagePullSecret"
                )


def _not_found(write: Attributes, name: str) -> Forbidden:
    where = f"{write.key.namespace}/{name}"
    return write.forbidden(f'error looking up service account {where}: serviceaccount "{name}" not found')


def _strange_secrets(spec: Object, is_allowed: Callable[[str], bool], *, only_ephemeral: bool) -> Iterator[str]:
    """What refers to a secret that is not the account's."""
    for volume in spec.get("volumes") or () if not only_ephemeral else ():
        secret = volume.get("secret")
        if secret is not None and not is_allowed(secret.get("secretName") or ""):
            yield f'volume with secret.secretName="{secret.get("secretName") or ""}"'
    holders = ("ephemeralContainers",) if only_ephemeral else ("initContainers", "containers")
    for holder in holders:
        word = _WORDS[holder]
        for container in spec.get(holder) or ():
            for variable, secret in container_secrets_by_variable(container):
                if not is_allowed(secret):
                    how = f"envVar {variable}" if variable else "envFrom"
                    yield f'{word} {container["name"]} with {how} referencing secret.secretName="{secret}"'


def _check_mirror_pod(write: Attributes, spec: Object) -> None:
    if spec.get("serviceAccountName"):
        raise write.forbidden("a mirror pod may not reference service accounts")
    if next(secrets(spec), None):
        raise write.forbidden("a mirror pod may not reference secrets")
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            if "serviceAccountToken" in source:
                raise write.forbidden("a mirror pod may not use ServiceAccountToken volume projections")


async def _find(accounts: Table, key: Key) -> Entry | None:
    entry = accounts.entries.get(key)
    if entry is not None or key.name != "default":
        return entry
    made: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()

    def heard(_: Entry | None, after: Entry | None) -> None:
        if after is not None and after.key == key and not made.done():
            made.set_result(after)

    stop = accounts.listen(heard)
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            return await made
    except TimeoutError:
        return None
    finally:
        stop()


def _wants_token(account: Object, spec: Object) -> bool:
    for holder in (spec, account):
        wants: bool | None = holder.get("automountServiceAccountToken")
        if wants is not None:
            return wants
    return True


def mount_token(spec: Object) -> None:
    """Mount the token volume into every container that has nothing at its path."""
    volumes: list[Object] = spec.get("volumes") or []
    present = next((name for volume in volumes if (name := volume.get("name", "")).startswith(_VOLUME)), "")
    name = present or _VOLUME + random_suffix()
    mounted = False
    for container in planned(spec):
        mounts: list[Object] = container.get("volumeMounts") or []
        if not any(mount.get("mountPath") == _MOUNT_PATH for mount in mounts):
            container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": _MOUNT_PATH}]
            mounted = True
    if mounted and not present:
        spec["volumes"] = [*volumes, {"name": name, "projected": _token_volume()}]


def _token_volume() -> Object:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {
        "defaultMode": 0o644,
        "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [namespace]}},
        ],
    }


PLUGIN = Plugin(
    "ServiceAccount",
    {"pods": frozenset((CREATE,)), "pods/ephemeralcontainers": frozenset((UPDATE,))},
    admit,
    validate,
)
