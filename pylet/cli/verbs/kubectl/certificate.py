"""`kubectl certificate`: approve or deny what asks to be signed. Source: cmd/certificates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pylet.api import timestamps
from pylet.api.object import Object, conditions_of
from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, manifests, output, targets
from pylet.cli.kubectl.command import KubectlCommand, KubectlGroup, arguments, switch
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Named, Target


def _deciding(verb: str, condition: str, said: str) -> Callable[..., None]:
    def run(session: Session, args: tuple[str, ...], **options: Any) -> None:
        if not args and not options["filename"]:
            raise Failure("error: one or more CSRs must be specified as <name> or -f <filename>")
        resource = session.catalog.find("csr")
        names = [arg.rpartition("/")[2] for arg in args]
        if options["filename"]:
            names += [target.name for target in manifests.targets(session, options["filename"])]
        failures = Collected()
        for target in targets.fetch(session, [Named(resource, name) for name in names], failures):
            failures.attempt(decide, session, target, options)
        failures.finish()

    def decide(session: Session, target: Target, options: dict[str, Any]) -> None:
        if options["force"] or condition not in {found["type"] for found in conditions_of(target.obj)}:
            path = target.resource.path("", target.name, "approval")
            session.api.request("PUT", path, body=_with(target.obj, condition, verb, said))
        output.done(target.obj, said, options["output"])

    return run


def _with(csr: Object, condition: str, verb: str, said: str) -> Object:
    now = timestamps.format_time(datetime.now(UTC))
    added = {
        "type": condition,
        "status": "True",
        "reason": f"Kubectl{verb.capitalize()}",
        "message": f"This CSR was {said} by kubectl certificate {verb}.",
        "lastUpdateTime": now,
    }
    status = csr.get("status") or {}
    kept = [found for found in status.get("conditions") or () if found["type"] != condition]
    return {**csr, "status": {**status, "conditions": [*kept, added]}}


VERB = KubectlGroup("certificate", help="Decide on certificate signing requests.")
for _verb, _condition, _said in (("approve", "Approved", "approved"), ("deny", "Denied", "denied")):
    VERB.add_command(
        KubectlCommand(
            _verb,
            _deciding(_verb, _condition, _said),
            [
                flags.FILENAME,
                switch("force", help="Also when it was decided so before."),
                flags.OUTPUT,
                arguments(),
            ],
            help=f"{_verb.capitalize()} certificate signing requests.",
        )
    )
