"""Where tunnels lead on a node: to its pods, and on the node itself to what pods in its network declare."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.agent.kubelet_serving import serves

NODE, POD = "192.0.2.1", "10.42.0.7"


def _pod(address: str, *, protocol: str = "TCP", **spec: Any) -> Any:
    container = {"name": "c", "ports": [{"containerPort": 8443, "hostPort": 8443, "protocol": protocol}]}
    return {
        "spec": {"containers": [container], **spec},
        "status": {"phase": "Running", "podIPs": [{"ip": address}]},
    }


@pytest.mark.parametrize(
    ("pod", "address", "port", "expected"),
    [
        pytest.param(_pod(POD), POD, 9999, True, id="any port of a pod"),
        pytest.param(_pod(POD), "10.42.0.8", 8443, False, id="of an address it has"),
        pytest.param(_pod(NODE), NODE, 8443, False, id="whatever it says that it has"),
        pytest.param(_pod(NODE, hostNetwork=True), NODE, 8443, True, id="on the node a port that is declared"),
        pytest.param(_pod(NODE, hostNetwork=True), NODE, 22, False, id="and no other"),
        pytest.param(_pod(NODE, hostNetwork=True, protocol="UDP"), NODE, 8443, False, id="nor of another protocol"),
        pytest.param(_pod("192.0.2.9", hostNetwork=True), "192.0.2.9", 8443, False, id="nor of another machine"),
    ],
)
def test_a_tunnel_leads_to(pod: Any, address: str, port: int, expected: bool) -> None:
    assert serves(pod, address, port, (NODE,)) is expected
