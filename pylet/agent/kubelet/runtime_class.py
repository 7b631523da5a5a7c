"""How a pod's runtime class has it run: by which handler, and what it asks for that not every handler can."""

from __future__ import annotations

from pylet.agent.kubelet.provided import CannotProvide
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.spec import has_own_users
from pylet.api.errors import ApiError
from pylet.api.kinds.runtimeclass import KIND as RUNTIME_CLASS
from pylet.api.object import Key, Object
from pylet.client.interface import Client
from pylet.cri.interface import Runtime
from pylet.cri.messages import HOST_USERS, UserNamespace


async def handler_of(pod: Object, client: Client) -> str:
    """ "" for the default one. Raises: CannotProvide."""
    name = pod["spec"].get("runtimeClassName")
    if not name:
        return ""
    try:
        return str((await client.get(RUNTIME_CLASS, Key("", name)))["handler"])
    except ApiError as failed:
        raise CannotProvide(f"failed to get sandbox runtime: {failed.message}") from failed


async def users_of(pod: Object, client: Client, runtime: Runtime, settings: Settings) -> UserNamespace:
    """Who the users of its containers are. Raises: CannotProvide, CriError, OSError."""
    if not has_own_users(pod):
        return HOST_USERS
    from pylet.agent.kubelet import user_namespaces

    able = {each.name: each.features.user_namespaces for each in (await runtime.abilities())[0]}
    return await user_namespaces.users_of(pod, await handler_of(pod, client), able, settings)


async def recurses(pod: Object, container: Object, client: Client, runtime: Runtime) -> bool:
    """Whether what is mounted below read-only volumes can be read-only, too; asked where it matters.

    Raises: CannotProvide, CriError.
    """
    if not any(mount.get("recursiveReadOnly") for mount in container.get("volumeMounts") or ()):
        return False
    handler, (handlers, _) = await handler_of(pod, client), await runtime.abilities()
    return any(each.features.recursive_read_only_mounts for each in handlers if each.name == handler)
