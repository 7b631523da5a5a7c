"""Flags, environment and file settle into one configuration, and whatever is wrong is one line."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from pylet.agent.config import AgentConfig
from pylet.cli import configuration
from pylet.cli.options import OPTIONS, BadOption, from_environment
from pylet.cli.settling import server_config, settle
from pylet.server.config import ServerConfig


def server(environ: Mapping[str, str] | None = None, file: Path | None = None, **flags: str) -> ServerConfig:
    given = {name.replace("_", "-"): (value,) for name, value in flags.items()}
    return configuration.load_server(given, file, {"PYLET_CONFIG_FILE": "", **(environ or {})})


def agent(**flags: str) -> AgentConfig:
    return configuration.load_agent({name.replace("_", "-"): (value,) for name, value in flags.items()}, None, {})


@pytest.fixture(autouse=True)
def _no_file_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(configuration, "DEFAULT_FILE", tmp_path / "absent.yaml")


def test_the_table_and_the_dataclasses_name_the_same_things() -> None:
    fields = set(ServerConfig.__dataclass_fields__) - {"agent"}
    assert {o.field for o in OPTIONS if "server" in o.commands} >= fields
    assert {o.field for o in OPTIONS if "agent" in o.commands} >= set(AgentConfig.__dataclass_fields__)
    known = fields | set(AgentConfig.__dataclass_fields__) | {"token_file"}
    assert {o.field for o in OPTIONS} == known


def test_defaults_are_the_dataclass_s() -> None:
    config = server(disable_agent="true")
    assert config == ServerConfig(disable_agent=True)


def test_a_server_carries_the_configuration_of_its_agent() -> None:
    config = server(bind_address="192.0.2.1", https_listen_port="7443", node_name="n1", service_cidr="10.9.0.0/16")
    assert isinstance(config.agent, AgentConfig)
    assert config.agent.server == ("https://192.0.2.1:7443",)
    assert (config.agent.node_name, config.agent.cluster_dns) == ("n1", "10.9.0.10")
    assert server(node_name="n").agent.server == ("https://127.0.0.1:6443",)
    assert server(node_name="n", bind_address="::").agent.server == ("https://[::1]:6443",)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("https-listen-port: 1\nservice-node-port-range: 31000-31999\nwrite-kubeconfig-mode: 0644\n")
    config = server({"PYLET_HTTPS_LISTEN_PORT": "2", "PYLET_TLS_SAN": "a,b"}, file, disable_agent="yes")
    assert config.https_listen_port == 2
    assert config.service_node_port_range == (31000, 31999)
    assert config.write_kubeconfig_mode == 0o644
    assert config.tls_san == ("a", "b")
    assert server({"PYLET_HTTPS_LISTEN_PORT": "2"}, file, https_listen_port="3").https_listen_port == 3


def test_drop_ins_replace_or_append_in_the_order_of_their_names(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("tls-san: [a]\nnode-label: [x=1]\ntoken: one\n")
    folder = tmp_path / "config.yaml.d"
    folder.mkdir()
    (folder / "20.yaml").write_text("tls-san+: c\ntoken: three\n")
    (folder / "10.yml").write_text("tls-san+: [b]\nnode-label: y=2\ntoken: two\n")
    (folder / "30.txt").write_text("not: read")
    config = server({}, file)
    assert config.tls_san == ("a", "b", "c")
    assert config.token == "three"
    assert config.agent.node_label == ("y=2",)


def test_keys_of_the_other_command_do_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("server: https://10.0.0.1:6443\nhttps-listen-port: 7\nnode-name: n\n")
    assert configuration.load_agent({}, file, {}).server == ("https://10.0.0.1:6443",)


def test_a_token_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    assert server(token_file=str(tmp_path / "token"), disable_agent="true").token == "secret"
    with pytest.raises(BadOption, match=r"--token-file: can't read .*/none: No such file"):
        server(token_file=str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ({"bind_address": "300.1.1.1"}, '--bind-address: "300.1.1.1" is not an IP address'),
        ({"https_listen_port": "0"}, '--https-listen-port: "0" is not a port number from 1 to 65535'),
        ({"cluster_cidr": "10.42.0.1/16"}, '--cluster-cidr: "10.42.0.1/16" has host bits set'),
        ({"service_cidr": "x"}, '--service-cidr: "x" is not a network such as 10.42.0.0/16'),
        (
            {"cluster_cidr": "10.0.0.0/8"},
            "--cluster-cidr 10.0.0.0/8 and --service-cidr 10.43.0.0/16 overlap: choose separate networks",
        ),
        ({"cluster_dns": "10.9.0.10"}, "--cluster-dns: 10.9.0.10 is not in --service-cidr 10.43.0.0/16"),
        (
            {"service_cidr": "10.43.0.0/30"},
            "--service-cidr: 10.43.0.0/30 is too small: it needs room for 16 addresses at least",
        ),
        (
            {"service_node_port_range": "9-1"},
            '--service-node-port-range: "9-1" is not a range of ports such as 30000-32767',
        ),
        ({"network_backend": "ipip"}, '--network-backend: "ipip" is not one of host-gw, vxlan, wireguard, none'),
        ({"node_label": "a b=c"}, '--node-label: "a b=c" is not of the form key=value'),
        (
            {"node_taint": "a=b:Never"},
            '--node-taint: "a=b:Never" is not of the form key=value:NoSchedule, :PreferNoSchedule or :NoExecute',
        ),
        ({"write_kubeconfig_mode": "9"}, '--write-kubeconfig-mode: "9" is not a file mode such as 600 or 0644'),
        ({"disable_agent": "maybe"}, '--disable-agent: "maybe" is neither true nor false'),
        (
            {"container_runtime_endpoint": "tcp://x"},
            '--container-runtime-endpoint: "tcp://x" is not the path of a unix socket '
            "such as unix:///run/containerd/containerd.sock",
        ),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_flag(flags: dict[str, str], line: str) -> None:
    with pytest.raises(BadOption) as error:
        server(**flags)
    assert str(error.value) == line


@pytest.mark.parametrize("url", ["10.0.0.1:6443", "http://a", "https://", "https://a:x", "https://a/b"])
def test_an_agent_wants_the_url_of_a_server(url: str) -> None:
    with pytest.raises(BadOption, match=r"--server: .* is not of the form https://ADDRESS:6443"):
        agent(server=url)


def test_an_agent_without_a_server_says_how_to_name_one() -> None:
    with pytest.raises(BadOption, match="--server: the address of the server to join is needed"):
        agent(node_name="n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("htps-listen-port: 1", 'unknown key "htps-listen-port", did you mean "https-listen-port"?'),
        ("zebra: 1", 'unknown key "zebra"'),
        ("- a", "must hold keys and values, as in: data-dir: /var/lib/pylet"),
        ("token: [a, b]", "token: takes one value, not a list"),
        ("token: {a: b}", "token: must be a text or a list of texts"),
        ("a: [", "not YAML"),
        ("bind-address: nowhere", 'bind-address: "nowhere" is not an IP address'),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(BadOption) as error:
        server({}, file)
    assert str(error.value).startswith(str(file))
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_a_bad_variable_is_called_by_its_name() -> None:
    with pytest.raises(BadOption, match="PYLET_NODE_IP: "):
        server({"PYLET_NODE_IP": "x"})


def test_a_host_whose_name_cannot_name_a_node_is_told() -> None:
    with pytest.raises(BadOption, match="--node-name"):
        server_config(settle("server", from_environment("server", {})), hostname="my_host")
