"""What members agree on survives the way through a ConfigMap, and a flag that says otherwise is one line."""

import pytest

from pylet.api import clustersettings
from pylet.api.clustersettings import ClusterSettings, Contradiction

OTHER = ClusterSettings(
    cluster_cidr="10.1.0.0/16",
    service_cidr="10.2.0.0/16",
    cluster_dns="10.2.0.9",
    cluster_domain="example.test",
    service_node_port_range=(20000, 20100),
    network_backend="vxlan",
)


def test_what_is_written_is_read() -> None:
    data = clustersettings.to_data(OTHER)
    assert data["service-node-port-range"] == "20000-20100"
    assert clustersettings.from_data(data) == OTHER


def test_a_newer_server_may_say_more_and_an_older_one_less() -> None:
    assert clustersettings.from_data({"cluster-domain": "a.b", "new": "x"}) == ClusterSettings(cluster_domain="a.b")


def test_a_member_that_is_told_nothing_or_the_same_agrees() -> None:
    clustersettings.insist(OTHER, {"cluster_dns": None, "network_backend": "vxlan", "node_name": "n"})


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (
            {"cluster_domain": "other.test"},
            "--cluster-domain other.test contradicts the cluster, which has example.test",
        ),
        (
            {"service_node_port_range": (1, 2)},
            "--service-node-port-range 1-2 contradicts the cluster, which has 20000-20100",
        ),
    ],
    ids=["a domain", "a range"],
)
def test_a_member_that_is_told_something_else_learns_which_flag_to_leave_out(
    told: dict[str, object], line: str
) -> None:
    with pytest.raises(Contradiction) as refused:
        clustersettings.insist(OTHER, told)
    assert str(refused.value) == f"{line}: take the flag away, an agent reads it from the server"
