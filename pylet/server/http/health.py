"""Health for probes and people: /healthz, /livez and /readyz, whole, verbose or one check at a time.

Source: apiserver pkg/server/healthz/healthz.go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from pylet.server.http.answer import Answer

Check = Callable[[], str]
"""Says what is wrong, "" when nothing is."""
ROOTS = ("healthz", "livez", "readyz")


class Health:
    """`checks` by root and name."""

    def __init__(self, checks: Mapping[str, Mapping[str, Check]]) -> None:
        self._checks = checks

    def answer(self, path: str, query: Mapping[str, str], excluded: Collection[str]) -> Answer:
        root, _, name = path.strip("/").partition("/")
        checks = self._checks[root]
        if name:
            if name not in checks:
                return Answer.text("404 page not found\n", 404)
            problem = checks[name]()
            return Answer.text(f"internal server error: {problem}\n", 500) if problem else Answer.text("ok")
        lines, failed = [], False
        for check, run in checks.items():
            if check in excluded:
                lines.append(f"[+]{check} excluded: ok\n")
            elif run():
                lines.append(f"[-]{check} failed: reason withheld\n")
                failed = True
            else:
                lines.append(f"[+]{check} ok\n")
        if failed:
            return Answer.text("".join(lines) + f"{root} check failed\n", 500)
        return Answer.text("".join(lines) + f"{root} check passed\n" if "verbose" in query else "ok")
