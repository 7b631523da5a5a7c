"""The story with PyPI's `kubernetes-asyncio`."""

import asyncio
import sys

from kubernetes_asyncio import client, config, watch


async def main() -> None:
    await config.load_kube_config(sys.argv[1])
    async with client.ApiClient() as api:
        core = client.CoreV1Api(api)
        await core.create_namespace({"metadata": {"name": "story"}})
        seen: list[str] = []
        since = (await core.list_namespaced_secret("story")).metadata.resource_version

        async def look() -> None:
            following = {"resource_version": since, "timeout_seconds": 60}
            async with watch.Watch().stream(core.list_namespaced_secret, "story", **following) as stream:
                async for event in stream:
                    seen.append(f"{event['type']} {event['object'].metadata.name}")
                    if len(seen) == 3:
                        return

        looking = asyncio.create_task(look())
        made = await core.create_namespaced_secret("story", {"metadata": {"name": "s"}, "stringData": {"k": "v"}})
        assert made.data == {"k": "dg=="}, made.data
        await core.patch_namespaced_secret("s", "story", {"metadata": {"labels": {"x": "y"}}})
        await core.delete_namespaced_secret("s", "story")
        await looking
        assert seen == ["ADDED s", "MODIFIED s", "DELETED s"], seen
        await core.delete_namespace("story")
    print("done")


asyncio.run(main())
