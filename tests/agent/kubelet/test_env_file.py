from __future__ import annotations

from pathlib import Path

import pytest

from pylet.agent.kubelet.env import EnvError, environment, files
from pylet.agent.kubelet.env_file import NoEnvFile, read_all, value_in
from pylet.api.object import Object


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("A='1'\nB='2'\n", "2", id="one a line"),
        pytest.param("# all\n\n  B='2' # why\n", "2", id="remarks, blanks and indentation"),
        pytest.param("B='$A \"x\" \\n'", '$A "x" \\n', id="taken as it is written"),
        pytest.param("A='one\nB=two'\nB='3\n4'", "3\n4", id="over several lines"),
        pytest.param("B= '2'\n", "", id="a blank after the sign: empty, as in a shell"),
        pytest.param("A='1'", "", id="not there"),
        pytest.param("B='2'\nnonsense", "2", id="nothing behind it is looked at"),
    ],
)
def test_a_value_is_found(text: str, value: str) -> None:
    assert value_in(text, "B") == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("A\nB='2'", "at line 1: missing '='", id="no sign"),
        pytest.param("='1'", "at line 1: empty variable name", id="no name"),
        pytest.param("A ='1'", "whitespace before '=' is not allowed", id="a blank before the sign"),
        pytest.param("\nA=1", "at line 2: value must be enclosed in single quotes", id="no quotes"),
        pytest.param("A='1'x", "unexpected content after closing quote", id="more behind the quote"),
        pytest.param("A='1\n2", "starting at line 1: unclosed single quote", id="no end"),
    ],
)
def test_other_syntax_is_refused(text: str, why: str) -> None:
    with pytest.raises(NoEnvFile, match=why):
        value_in(text, "B")


def made(directory: Path, *, key: str = "K", path: str = "env", optional: bool = False) -> dict[str, str]:
    ref = {"volumeName": "v", "path": path, "key": key, "optional": optional}
    container: Object = {"env": [{"name": "N", "valueFrom": {"fileKeyRef": ref}}, {"name": "M", "value": "<$(N)>"}]}
    read = read_all(files(container), {"v": directory})
    return environment({"metadata": {}}, container, {}, {}, lambda kind, name: None, read)


def test_a_variable_comes_out_of_a_file_of_the_pod(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("K='one'\n")
    assert made(tmp_path) == {"N": "one", "M": "<one>"}
    assert made(tmp_path, key="X", optional=True) == {"M": "<$(N)>"}
    with pytest.raises(EnvError, match='environment variable key "X" not found in file "env"'):
        made(tmp_path, key="X")
    with pytest.raises(EnvError, match="couldn't parse env file"):
        made(tmp_path, path="none", optional=True)


def test_no_link_leads_to_the_nodes_own_files(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "secret").write_text("K='the node's'\n")
    (tmp_path / "v" / "env").symlink_to("../secret")
    with pytest.raises(EnvError, match="couldn't parse env file"):
        made(tmp_path / "v")
