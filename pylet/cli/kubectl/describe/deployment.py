"""The description of a Deployment."""

from pylet.api.object import Object, annotations_of, conditions_of, controller_of
from pylet.cli.kubectl.describe import podspec
from pylet.cli.kubectl.describe.page import Page, selector_text, when
from pylet.cli.kubectl.rollouts import REVISION


def describe(page: Page, deployment: Object) -> None:
    spec, status, meta = deployment["spec"], deployment.get("status") or {}, deployment["metadata"]
    page.head(deployment)
    page.write(f"CreationTimestamp:\t{when(meta['creationTimestamp'])}")
    page.labelled(deployment)
    page.write(f"Selector:\t{selector_text(spec['selector'])}")
    page.write(
        f"Replicas:\t{spec.get('replicas', 1)} desired | {status.get('updatedReplicas', 0)} updated | "
        f"{status.get('replicas', 0)} total | {status.get('availableReplicas', 0)} available | "
        f"{status.get('unavailableReplicas', 0)} unavailable"
    )
    strategy = spec.get("strategy") or {}
    page.write(f"StrategyType:\t{strategy.get('type', '')}")
    page.write(f"MinReadySeconds:\t{spec.get('minReadySeconds', 0)}")
    if rolling := strategy.get("rollingUpdate"):
        limits = f"{rolling.get('maxUnavailable')} max unavailable, {rolling.get('maxSurge')} max surge"
        page.write(f"RollingUpdateStrategy:\t{limits}")
    podspec.template(page, spec["template"])
    page.conditions(conditions_of(deployment))
    path = f"/apis/apps/v1/namespaces/{meta['namespace']}/replicasets"
    found = page.listed(path, labelSelector=selector_text(spec["selector"]))
    owned = [rs for rs in found if (controller_of(rs) or {}).get("uid") == meta["uid"]]
    if owned:
        revision = annotations_of(deployment).get(REVISION)
        new = [rs for rs in owned if annotations_of(rs).get(REVISION) == revision]
        old = [rs for rs in owned if rs not in new]
        page.write(f"OldReplicaSets:\t{_named(old)}")
        page.write(f"NewReplicaSet:\t{_named(new)}")
    page.events(deployment)


def _named(found: list[Object]) -> str:
    names = [
        f"{rs['metadata']['name']} ({(rs.get('status') or {}).get('replicas', 0)}/{rs['spec'].get('replicas', 1)} "
        "replicas created)"
        for rs in found
    ]
    return ", ".join(names) or "<none>"
