"""Admission that asks the authorizer: who approves and signs certificates, and for which audiences nodes take tokens.

Source: plugin/pkg/admission/certificates/{approval,signing}, pkg/registry/certificates/authorization,
plugin/pkg/admission/noderestriction (validateNodeServiceAccountAudience).
"""

from __future__ import annotations

from collections.abc import Iterator

from pylet.api.object import Key, Object, dig
from pylet.server.admission.interface import CREATE, UPDATE, Plugin
from pylet.server.admission.interface import Attributes as Write
from pylet.server.auth.attributes import Attributes
from pylet.server.auth.authorize import Authorizer
from pylet.server.registry import User

_GROUP = "certificates.k8s.io"
_NODES = "system:nodes"
_DECIDED = ("certificate", "conditions")


def plugins(authorizer: Authorizer) -> list[Plugin]:
    async def approve(write: Write) -> None:
        signer = _signer(write)
        if not await _may(authorizer, write.user, "approve", signer):
            raise write.forbidden(f'user not permitted to approve requests with signerName "{signer}"')

    async def sign(write: Write) -> None:
        before, after = ((obj or {}).get("status") or {} for obj in (write.old, write.obj))
        signer = _signer(write)
        is_decided = any((before.get(field) or None) != (after.get(field) or None) for field in _DECIDED)
        if is_decided and not await _may(authorizer, write.user, "sign", signer):
            raise write.forbidden(f'user not permitted to sign requests with signerName "{signer}"')

    async def request_token(write: Write) -> None:
        if _NODES in write.user.groups:
            await _check_audience(authorizer, write)

    update = frozenset((UPDATE,))
    return [
        Plugin("CertificateApproval", {"certificatesigningrequests/approval": update}, validate=approve),
        Plugin("CertificateSigning", {"certificatesigningrequests/status": update}, validate=sign),
        Plugin("NodeTokenAudience", {"serviceaccounts/token": frozenset((CREATE,))}, request_token),
    ]


def _signer(write: Write) -> str:
    """That of the old object: the request may try to change it."""
    signer: str = dig(write.old, "spec", "signerName", default="")
    return signer


async def _may(authorizer: Authorizer, user: User, verb: str, signer: str) -> bool:
    names = (signer, signer.partition("/")[0] + "/*")
    for name in names:
        if (await authorizer.ask(Attributes(user, verb, _GROUP, "*", "signers", name=name))).allowed:
            return True
    return False


async def _check_audience(authorizer: Authorizer, write: Write) -> None:
    """A node may have tokens for the audiences that the pod's volumes name."""
    assert write.obj is not None
    spec = write.obj.get("spec") or {}
    entry = write.table("Pod").entries.get(Key(write.key.namespace, dig(spec, "boundObjectRef", "name", default="")))
    audiences = spec.get("audiences") or [""]
    if len(audiences) > 1:
        raise write.forbidden("node may only request 0 or 1 audiences")
    audience = audiences[0]
    missing: dict[str, None] = {}
    if entry is None or audience in _audiences(write, entry.object, missing):
        return
    if missing:
        what = next(iter(missing)) if len(missing) == 1 else f"[{', '.join(missing)}]"
        raise write.forbidden(f'error validating audience "{audience}": {what}')
    node = write.user
    asked = Attributes(
        node,
        "request-serviceaccounts-token-audience",
        version="v1",
        resource=audience,
        namespace=write.key.namespace,
        name=write.key.name,
    )
    if not (await authorizer.ask(asked)).allowed:
        raise write.forbidden(
            f'audience "{audience}" not found in pod spec volume, '
            f"{node.name} is not authorized to request tokens for this audience"
        )


def _audiences(write: Write, pod: Object, missing: dict[str, None]) -> Iterator[str]:
    """Those that the pod's volumes name; what is looked for on the way and not found becomes `missing`.

    Source: plugin/pkg/admission/noderestriction/admission.go, podReferencesAudience.
    """

    def found(kind: str, key: Key, group: str = "") -> Object:
        entry = write.table(kind).entries.get(key)
        if entry is None:
            missing[f'{kind.lower()}{group} "{key.name}" not found'] = None
            return {}
        return entry.object

    for volume in pod["spec"].get("volumes") or ():
        for source in dig(volume, "projected", "sources", default=()):
            if "serviceAccountToken" in source:
                yield source["serviceAccountToken"].get("audience") or ""
        driver = dig(volume, "csi", "driver")
        if claim := _claim(pod, volume):
            bound = found("PersistentVolumeClaim", Key(write.key.namespace, claim))
            name = dig(bound, "spec", "volumeName", default="")
            driver = dig(found("PersistentVolume", Key("", name)) if bound else None, "spec", "csi", "driver")
        if driver:
            drives = found("CSIDriver", Key("", driver), ".storage.k8s.io")
            for request in dig(drives, "spec", "tokenRequests", default=()):
                yield request.get("audience") or ""


def _claim(pod: Object, volume: Object) -> str:
    """The claim behind a volume, "" where there is none."""
    if "ephemeral" in volume:
        return f"{pod['metadata']['name']}-{volume['name']}"
    claim: str = dig(volume, "persistentVolumeClaim", "claimName", default="")
    return claim
