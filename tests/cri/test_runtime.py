"""What every `Runtime` promises, run against the simulation and against a real containerd."""

import asyncio
import itertools
from pathlib import Path

import pytest

from pylet.agent.image_archive import BUSYBOX_REFERENCE, PAUSE_REFERENCE
from pylet.cri import interface as cri
from pylet.cri import messages as m
from pylet.cri.features import CgroupDriver, LinuxRuntimeConfig, RuntimeConfig
from pylet.cri.grpc import pull_error
from pylet.cri.interface import Runtime
from pylet.cri.rpc import CallError
from pylet.cri.wire import decode
from tests.cri.conftest import CGROUP

_uids = (f"pod-uid-{number}" for number in itertools.count())


def sandbox_config(logs: Path, *, uid: str = "", attempt: int = 0, on_host: bool = False) -> m.SandboxConfig:
    uid = uid or next(_uids)
    network = m.NamespaceMode.NODE if on_host else m.NamespaceMode.POD
    return m.SandboxConfig(
        metadata=m.SandboxMetadata(name="web", uid=uid, namespace="default", attempt=attempt),
        log_directory=str(logs),
        labels={"io.kubernetes.pod.uid": uid},
        annotations={"kept": "yes"},
        linux=m.LinuxSandboxConfig(
            cgroup_parent=f"{CGROUP}/pod{uid}",
            security_context=m.SandboxSecurityContext(namespace_options=m.NamespaceOption(network=network)),
        ),
    )


def container_config(*command: str, name: str = "main", attempt: int = 0) -> m.ContainerConfig:
    return m.ContainerConfig(
        metadata=m.ContainerMetadata(name, attempt),
        image=m.ImageSpec(BUSYBOX_REFERENCE),
        command=command,
        envs=(m.KeyValue("COLOUR", "blaß".encode()),),
        labels={"io.kubernetes.container.name": name},
        annotations={"restartCount": str(attempt)},
        log_path=f"{name}_{attempt}.log",
        linux=m.LinuxContainerConfig(resources=m.LinuxResources(cpu_shares=102, memory_limit_in_bytes=64 << 20)),
    )


async def start(runtime: Runtime, sandbox: str, config: m.SandboxConfig, *command: str, name: str = "main") -> str:
    container = await runtime.create_container(sandbox, container_config(*command, name=name), config)
    await runtime.start_container(container)
    return container


async def wait_until_exited(runtime: Runtime, container: str) -> m.ContainerStatus:
    async with asyncio.timeout(60):
        while (status := await runtime.container_status(container)).state != m.ContainerState.EXITED:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return status


async def test_a_sandbox_lives_from_run_to_remove(runtime: Runtime, tmp_path: Path) -> None:
    config = sandbox_config(tmp_path)
    sandbox = await runtime.run_sandbox(config)

    status = await runtime.sandbox_status(sandbox)
    assert (status.id, status.metadata, status.state) == (sandbox, config.metadata, m.SandboxState.READY)
    assert status.annotations["kept"] == "yes"
    assert len(status.ips) == 1
    assert status.created_at > 1_600_000_000 * 10**9
    assert [s.id for s in await runtime.list_sandboxes(pod_uid=config.metadata.uid)] == [sandbox]
    assert await runtime.list_sandboxes(pod_uid="another") == ()

    await runtime.stop_sandbox(sandbox)
    assert (await runtime.sandbox_status(sandbox)).state == m.SandboxState.NOT_READY
    await runtime.remove_sandbox(sandbox)
    with pytest.raises(cri.NotFound):
        await runtime.sandbox_status(sandbox)
    await runtime.stop_sandbox(sandbox)
    await runtime.remove_sandbox(sandbox)


async def test_a_sandbox_on_the_hosts_network_has_no_address_of_its_own(runtime: Runtime, tmp_path: Path) -> None:
    sandbox = await runtime.run_sandbox(sandbox_config(tmp_path, on_host=True))
    assert (await runtime.sandbox_status(sandbox)).ips == ()


async def test_a_container_lives_from_create_to_remove(runtime: Runtime, tmp_path: Path) -> None:
    config = sandbox_config(tmp_path)
    sandbox = await runtime.run_sandbox(config)
    container = await runtime.create_container(sandbox, container_config("sleep", "1000"), config)

    created = await runtime.container_status(container)
    assert (created.state, created.started_at, created.metadata.name) == (m.ContainerState.CREATED, 0, "main")
    assert created.image.image == BUSYBOX_REFERENCE
    assert created.annotations["restartCount"] == "0"
    assert created.log_path == f"{tmp_path}/main_0.log"

    await runtime.start_container(container)
    running = await runtime.container_status(container)
    assert running.state == m.ContainerState.RUNNING
    assert running.started_at >= running.created_at
    listed = await runtime.list_containers(pod_uid=config.metadata.uid) or await runtime.list_containers(
        sandbox_id=sandbox
    )
    assert [(c.id, c.pod_sandbox_id, c.state) for c in listed] == [(container, sandbox, m.ContainerState.RUNNING)]

    await runtime.stop_container(container, grace_seconds=0)
    stopped = await wait_until_exited(runtime, container)
    assert (stopped.exit_code, stopped.reason) == (137, "Error")
    await runtime.remove_container(container)
    with pytest.raises(cri.NotFound):
        await runtime.container_status(container)
    await runtime.stop_container(container, grace_seconds=0)
    await runtime.remove_container(container)


@pytest.mark.parametrize(
    ("command", "exit_code", "reason"),
    [
        (("true",), 0, "Completed"),
        (("sh", "-c", "exit 7"), 7, "Error"),
        (("sh", "-c", "sleep 0.1; exit 3"), 3, "Error"),
    ],
    ids=["success", "failure at once", "failure after a while"],
)
async def test_an_exit_is_told_and_kept(
    runtime: Runtime, tmp_path: Path, command: tuple[str, ...], exit_code: int, reason: str
) -> None:
    config = sandbox_config(tmp_path)
    sandbox = await runtime.run_sandbox(config)
    events = runtime.events()
    assert (await anext(events)).type == cri.EventType.RESYNC
    container = await start(runtime, sandbox, config, *command)
    async with asyncio.timeout(60):
        while (event := await anext(events)).id != container:
            pass
    assert event.type == cri.EventType.EXITED
    status = await wait_until_exited(runtime, container)
    assert (status.exit_code, status.reason) == (exit_code, reason)
    # Not after `started_at`: containerd notes the start only once it has returned, and this one may be over by then.
    assert status.finished_at >= status.created_at
    await events.aclose()  # type: ignore[attr-defined]


async def test_stopping_a_sandbox_ends_its_containers(runtime: Runtime, tmp_path: Path) -> None:
    config = sandbox_config(tmp_path)
    sandbox = await runtime.run_sandbox(config)
    container = await start(runtime, sandbox, config, "sleep", "1000")
    await runtime.stop_sandbox(sandbox)
    assert (await wait_until_exited(runtime, container)).exit_code == 137
    await runtime.remove_sandbox(sandbox)
    assert await runtime.list_containers(sandbox_id=sandbox) == ()


async def test_a_command_runs_in_a_container(runtime: Runtime, tmp_path: Path) -> None:
    config = sandbox_config(tmp_path)
    sandbox = await runtime.run_sandbox(config)
    container = await start(runtime, sandbox, config, "sleep", "1000")
    assert await runtime.exec_sync(container, ("echo", "hello"), timeout_seconds=10) == m.ExecResult(b"hello\n")
    assert (await runtime.exec_sync(container, ("sh", "-c", "exit 5"), timeout_seconds=10)).exit_code == 5
    with pytest.raises(cri.DeadlineExceeded):
        await runtime.exec_sync(container, ("sleep", "30"), timeout_seconds=1)


async def test_refusals_have_types(runtime: Runtime, tmp_path: Path) -> None:
    config = sandbox_config(tmp_path)
    sandbox = await runtime.run_sandbox(config)
    with pytest.raises(cri.NotFound):
        await runtime.container_status("absent")
    with pytest.raises(cri.NotFound):
        await runtime.exec_sync("absent", ("true",), timeout_seconds=1)
    missing = m.ContainerConfig(metadata=m.ContainerMetadata("main"), image=m.ImageSpec("pylet.local/absent:1"))
    with pytest.raises(cri.NotFound) as refused:
        await runtime.create_container(sandbox, missing, config)
    assert not refused.value.details.startswith("rpc error")
    done = await start(runtime, sandbox, config, "true")
    await wait_until_exited(runtime, done)
    with pytest.raises(cri.CriError):
        await runtime.exec_sync(done, ("true",), timeout_seconds=1)


async def test_images_are_found_by_name_and_pulls_can_fail(runtime: Runtime) -> None:
    image = await runtime.image_status(BUSYBOX_REFERENCE)
    assert image is not None
    assert image.repo_tags == (BUSYBOX_REFERENCE,)
    assert image.size > 0
    listed = await runtime.list_images()
    assert image.id in [each.id for each in listed]
    # without the image of all sandboxes nothing would start any more
    assert all(each.pinned == (PAUSE_REFERENCE in each.repo_tags) for each in listed)
    assert await runtime.image_status("pylet.local/absent:1") is None
    with pytest.raises(cri.PullError) as refused:
        await runtime.pull_image("127.0.0.1:1/absent:1")
    assert "code = Unknown" not in str(refused.value)


@pytest.mark.parametrize(
    ("code", "said", "reason", "message", "details"),
    [
        ("Unknown", "no such host", "ErrImagePull", "no such host", "no such host"),
        (
            "NotFound",
            "no such tag",
            "ErrImagePull",
            "rpc error: code = NotFound desc = no such tag",
            "rpc error: code = NotFound desc = no such tag",
        ),
        (
            "Unknown",
            "RegistryUnavailable: 503",
            "RegistryUnavailable",
            "image pull failed for app:1 because the registry is unavailable: 503",
            "RegistryUnavailable: 503",
        ),
        (
            "Unknown",
            "SignatureValidationFailed: not signed",
            "SignatureValidationFailed",
            "image pull failed for app:1 because the signature validation failed: not signed",
            "SignatureValidationFailed: not signed",
        ),
    ],
)
def test_why_a_pull_failed(code: str, said: str, reason: str, message: str, details: str) -> None:
    found = pull_error("app:1", CallError(code, said))
    assert (found.reason, str(found), found.details) == (reason, message, details)


async def test_resources_change_while_running(runtime: Runtime, tmp_path: Path) -> None:
    config = sandbox_config(tmp_path)
    sandbox = await runtime.run_sandbox(config)
    container = await start(runtime, sandbox, config, "sleep", "1000")
    await runtime.update_resources(container, m.LinuxResources(cpu_shares=204, memory_limit_in_bytes=128 << 20))
    assert [s.attributes.id for s in await runtime.container_stats() if s.attributes.id == container] == [container]


async def test_the_runtime_names_itself_and_is_ready(runtime: Runtime) -> None:
    assert (await runtime.version()).runtime_name in ("memory", "containerd")
    assert {c.type: c.status for c in await runtime.conditions()} == {"RuntimeReady": True, "NetworkReady": True}
    assert (await runtime.image_filesystems())[0].fs_id.mountpoint


async def test_a_runtime_of_before_containerd_2_keeps_no_state_of_containers(runtime: Runtime, tmp_path: Path) -> None:
    if (await runtime.version()).runtime_version.lstrip("v") < "2":
        with pytest.raises(cri.Unimplemented):
            await runtime.checkpoint_container("any", str(tmp_path / "state"), seconds=5)


async def test_a_runtime_of_before_containerd_2_does_not_say_who_makes_its_cgroups(runtime: Runtime) -> None:
    if (await runtime.version()).runtime_version.lstrip("v") < "2":
        assert await runtime.cgroup_driver() is None


@pytest.mark.parametrize(
    ("answer", "driver"), [(b"\n\x00", CgroupDriver.SYSTEMD), (b"\n\x02\x08\x01", CgroupDriver.CGROUPFS)]
)
def test_who_makes_the_cgroups_is_told_by_number(answer: bytes, driver: CgroupDriver) -> None:
    assert decode(RuntimeConfig, answer).linux == LinuxRuntimeConfig(driver)
    assert decode(RuntimeConfig, b"").linux is None
