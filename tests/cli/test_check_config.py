"""`pylet check-config`: a line for each finding, and status 2 where one is bad."""

from pathlib import Path

import pytest

from pylet.cli import configuration, run
from pylet.cli.verbs import check_config


@pytest.fixture(autouse=True)
def _fit_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(configuration, "DEFAULT_FILE", tmp_path / "config.yaml")
    monkeypatch.setattr(check_config, "_machine", lambda: iter([(True, "machine")]))


def check(*arguments: str) -> int:
    return run(["check-config", *arguments])


def test_good_settings_and_a_fit_machine_are_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert check() == 0
    assert capsys.readouterr().out == "ok   settings of the server\nok   machine\n"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("config.yaml", "node-nmae: a", 'config.yaml: unknown key "node-nmae", did you mean "node-name"?'),
        (
            "config.yaml.d/10.yaml",
            "node-ip: 300.1.1.1",
            'config.yaml.d/10.yaml: node-ip: "300.1.1.1" is not an IP address',
        ),
    ],
    ids=["an unknown key", "a bad address in a drop-in"],
)
def test_what_is_wrong_in_a_file_is_said_with_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, line: str
) -> None:
    (tmp_path / "config.yaml.d").mkdir()
    (tmp_path / name).write_text(text)
    assert check() == 2
    assert f"FAIL {tmp_path}/{line}\n" in capsys.readouterr().out


def test_a_variable_that_is_no_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYLET_NODE_NAM", "x")
    assert check() == 2
    assert "FAIL PYLET_NODE_NAM: no such setting, did you mean PYLET_NODE_NAME?\n" in capsys.readouterr().out


def test_the_environment_wins_over_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.yaml").write_text("node-ip: 300.1.1.1")
    monkeypatch.setenv("PYLET_NODE_IP", "192.0.2.1")
    assert check() == 0


def test_an_agent_needs_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--role", "agent") == 2
    assert "FAIL --server: the address of the server to join is needed" in capsys.readouterr().out
