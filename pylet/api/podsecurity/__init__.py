"""The Pod Security Standards: which pods a level of a version allows, in upstream's words.

Source: pod-security-admission policy/.
"""

from __future__ import annotations

from pylet.api.object import Object
from pylet.api.podsecurity.baseline import BASELINE
from pylet.api.podsecurity.policy import PRIVILEGED, Limit, Policy, Violations, policy_of
from pylet.api.podsecurity.restricted import OVERRIDDEN, RESTRICTED
from pylet.api.podsecurity.subject import Subject

__all__ = ["PRIVILEGED", "Limit", "Policy", "Violations", "policy_of", "violations"]


def violations(limit: Limit, metadata: Object, spec: Object) -> Violations:
    """What that level of that version does not allow of a pod or a template."""
    if limit.is_privileged:
        return Violations(())
    pod = Subject(metadata, spec, limit.minor)
    checks = dict(BASELINE)
    if limit.level == "restricted":
        for name, since in OVERRIDDEN.items():
            if limit.minor >= since:
                del checks[name]
        checks |= RESTRICTED
    return Violations(tuple(found for check in checks.values() if (found := check(pod)) is not None))
