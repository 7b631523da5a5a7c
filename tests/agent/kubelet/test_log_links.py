"""Links by which collectors find logs."""

from __future__ import annotations

from pathlib import Path

from pylet.agent.kubelet import log_links
from pylet.agent.kubelet.files import forget_instance
from pylet.agent.kubelet.settings import Settings
from tests.agent.kubelet.builders import pod

WEB = pod()


def logged(root: Path) -> Settings:
    """A node where `main` of the pod has begun twice."""
    settings = Settings(node_name="n1", host_ips=(), root=root, log_root=root / "pods")
    for restarts in (0, 1):
        file = root / "pods" / "default_web_u1" / "main" / f"{restarts}.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{restarts}\n")
        log_links.link(WEB, "main", f"main-{restarts}", restarts, settings)
    return settings


def links(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() if path.exists() else "" for path in (root / "containers").iterdir()}


def test_each_instance_that_is_kept_has_one(tmp_path: Path) -> None:
    settings = logged(tmp_path)
    assert links(tmp_path) == {"web_default_main-main-0.log": "0\n", "web_default_main-main-1.log": "1\n"}
    log_links.link(WEB, "main", "main-1", 1, settings)  # it is there already
    log_links.link(WEB, "main", "main-2", 2, settings)  # it has no log
    forget_instance(WEB, "main", 0, "main-0", settings)
    assert links(tmp_path) == {"web_default_main-main-1.log": "1\n"}


def test_a_long_name_is_cut(tmp_path: Path) -> None:
    settings = logged(tmp_path)
    name = log_links.path_of(WEB, "c" * 63, "f" * 200, settings).name
    assert len(name) == 255
    assert name.endswith("f.log")


def test_what_leads_to_logs_no_more_is_swept_away(tmp_path: Path) -> None:
    settings = logged(tmp_path)
    (tmp_path / "containers" / "other.log").symlink_to("/nowhere/other.log")
    (tmp_path / "pods" / "default_web_u1" / "main" / "0.log").unlink()
    log_links.sweep(settings.log_root)
    assert links(tmp_path) == {"web_default_main-main-1.log": "1\n", "other.log": ""}
    log_links.sweep(tmp_path / "none" / "pods")
