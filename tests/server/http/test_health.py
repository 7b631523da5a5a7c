"""Health checks: their names are upstream's, some wait for the start, and /metrics/slis tells how they went."""

from __future__ import annotations

import pytest

from pylet.server.http.health import Health

HOOK = "poststarthook/scheduling/bootstrap-system-priority-classes"


@pytest.mark.parametrize(
    ("root", "has", "lacks"),
    [
        ("healthz", "etcd", "informer-sync"),
        ("livez", "etcd", "shutdown"),
        ("readyz", "etcd-readiness", "loopback-serving-certificate"),
    ],
)
def test_the_checks_of_a_started_server(root: str, has: str, lacks: str) -> None:
    health = Health(lambda: True)
    answer = health.answer(f"/{root}", {"verbose": "1"}, ())
    lines = answer.body.decode().splitlines()
    assert (answer.status, lines[0], lines[-1]) == (200, "[+]ping ok", f"{root} check passed")
    assert {f"[+]{check} ok" for check in (has, HOOK, "autoregister-completion")} < set(lines)
    assert f"[+]{lacks} ok" not in lines
    assert health.answer(f"/{root}", {}, ()).body == b"ok"


def test_before_the_start_hooks_fail_and_others_do_not() -> None:
    health = Health(lambda: False)
    assert health.answer("/readyz/ping", {}, ()).status == 200
    assert health.answer(f"/readyz/{HOOK}", {}, ()).status == 500
    assert health.answer("/readyz/unknown", {}, ()).status == 404
    whole = health.answer("/livez", {}, [HOOK])
    assert whole.status == 500
    assert f"[+]{HOOK} excluded: ok" in whole.body.decode()


def test_what_is_no_check_cannot_be_left_out() -> None:
    lines = Health(lambda: True).answer("/livez", {"verbose": ""}, ["nosuch", "etcd", "another"]).body.decode()
    said = 'warn: some health checks cannot be excluded: no matches for "another","nosuch"'
    assert lines.splitlines()[-2:] == [said, "livez check passed"]
    assert "[+]etcd excluded: ok" in lines


def test_the_indicators_count_what_was_asked() -> None:
    started: list[int] = []
    health = Health(lambda: bool(started))
    assert list(health.indicators()) == []
    health.answer("/readyz", {}, ())
    started.append(1)
    health.answer("/readyz", {}, ())
    health.answer("/readyz", {}, ())
    lines = list(health.indicators())
    for line in (
        f'kubernetes_healthcheck{{name="{HOOK}",type="readyz"}} 1',
        f'kubernetes_healthchecks_total{{name="{HOOK}",status="error",type="readyz"}} 1',
        f'kubernetes_healthchecks_total{{name="{HOOK}",status="success",type="readyz"}} 2',
        'kubernetes_healthchecks_total{name="ping",status="success",type="readyz"} 3',
    ):
        assert line in lines
