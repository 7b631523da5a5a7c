"""`wait` and `scale`: what they wait for, what they expect, and what is told when it does not come."""

from __future__ import annotations

import asyncio

import pytest

from tests.cli.kubectl.conftest import Ended, Kubectl


@pytest.mark.parametrize(
    ("line", "out", "err"),
    [
        ("cm/conf --for=create --for=jsonpath={.data.a}=1", "configmap/conf condition met\n" * 2, ""),
        ("cm/conf cm/none --for=create --timeout=0", "", "error: timed out waiting for the condition\n"),
        ("cm -l x=y --for=create --timeout=0", "", "error: timed out waiting for the condition\n"),
        ("cm -l x=y --for=jsonpath={.data}", "", "error: no matching resources found\n"),
        ("cm/none --for=delete", "", ""),
        ("cm/conf --for=delete --timeout=0", "", "error: condition not met for configmaps/conf\n"),
        ("cm/none --for=condition=x", "", 'Error from server (NotFound): configmaps "none" not found\n'),
        (
            "cm/none deploy/web --for=condition=x --timeout=0",
            "",
            'Error from server (NotFound): configmaps "none" not found\ncondition not met for deployments/web\n',
        ),
        (
            "cm/conf --for=jsonpath={.data}=1",
            "",
            "error: jsonpath leads to a nested object or list which is not supported\n",
        ),
        (
            "cm/conf --for=jsonpath={.metadata.*}=1",
            "",
            "error: given jsonpath expression matches more than one value\n",
        ),
        ("cm/conf", "", "error: unrecognized condition: []\n"),
    ],
)
async def test_what_is_waited_for(kubectl: Kubectl, line: str, out: str, err: str) -> None:
    await kubectl("apply", "-f", "MANIFEST")
    assert await kubectl("wait", *line.split()) == Ended(1 if err else 0, out, err)


async def test_objects_that_come_and_go_are_noticed(kubectl: Kubectl) -> None:
    coming = asyncio.create_task(kubectl("wait", "cm/late", "--for=create", "--timeout=60s"))
    await kubectl("create", "configmap", "late")
    assert (await coming).status == 0
    going = asyncio.create_task(kubectl("wait", "cm/late", "--for=delete", "--timeout=60s"))
    await kubectl("delete", "configmap", "late")
    assert (await going).status == 0


async def test_scaling_expects_what_it_is_told_to(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "MANIFEST")
    dry = await kubectl("scale", "deploy/web", "--replicas=3", "--dry-run=client", "-o", "jsonpath={.spec.replicas}")
    assert dry == Ended(0, "3", "")
    line = ("scale", "deploy/web", "--replicas=0")
    assert await kubectl(*line, "--current-replicas=7") == Ended(1, "", "error: Expected replicas to be 7, was 0\n")
    refused = (await kubectl(*line, "--resource-version=1")).err
    assert refused.startswith("error: Expected resource version to be 1, was ")
    scaled = Ended(0, "deployment.apps/web scaled\n", "")
    assert await kubectl(*line, "--current-replicas=0", "--timeout=60s") == scaled
    missing = 'Error from server (NotFound): deployments.apps "none" not found\n'
    assert await kubectl(*line, "deploy/none") == Ended(1, scaled.out, missing)


async def test_several_failures_are_told_without_what_one_begins_with(kubectl: Kubectl) -> None:
    await kubectl("create", "configmap", "one")
    await kubectl("create", "configmap", "two")
    await kubectl("label", "cm", "one", "two", "a=b")
    taken = "'a' already has a value (b), and --overwrite is false\n"
    assert await kubectl("label", "cm", "one", "a=c") == Ended(1, "", f"error: {taken}")
    assert await kubectl("label", "cm", "one", "two", "a=c") == Ended(1, "", taken * 2)
