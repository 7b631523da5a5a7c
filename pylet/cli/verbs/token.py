"""`pylet token`: make, list and delete the tokens that machines join with."""

from __future__ import annotations

import base64
import re
import secrets
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from pylet.api import jointoken, timestamps
from pylet.cli.admin import admin
from pylet.cli.failure import Failure

_SECRETS = "/api/v1/namespaces/kube-system/secrets"
_ROOT_CA = "/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt"
_TYPE = "bootstrap.kubernetes.io/token"
_GROUP = "system:bootstrappers:pylet:default-node-token"
_ALPHABET = string.ascii_lowercase + string.digits
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@click.group("token", help="Make, list and delete the tokens that machines join with.")
@click.option("--kubeconfig", default="", metavar="FILE", help="Kubeconfig to reach the server with.")
@click.pass_context
def VERB(ctx: click.Context, kubeconfig: str) -> None:  # noqa: N802 (what a verb's file declares)
    ctx.obj = kubeconfig


@VERB.command("create", help="Make a token and print it.")
@click.option("--ttl", default="24h", show_default=True, help="How long it is valid, as in 30m or 2d; 0 for ever.")
@click.option("--description", default="", help="What it is for.")
@click.pass_obj
def _create(kubeconfig: str, ttl: str, description: str) -> None:
    life = _duration(ttl)
    token_id, secret = _random(6), _random(16)
    data = {
        "token-id": token_id,
        "token-secret": secret,
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
        "auth-extra-groups": _GROUP,
    }
    if description:
        data["description"] = description
    if life:
        data["expiration"] = timestamps.format_time(datetime.now(UTC) + life)
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"bootstrap-token-{token_id}", "namespace": "kube-system"},
        "type": _TYPE,
        "stringData": data,
    }
    with admin(kubeconfig) as api:
        ca = api.request("GET", _ROOT_CA)["data"]["ca.crt"]
        api.request("POST", _SECRETS, body=body)
    print(jointoken.JoinToken(f"{token_id}.{secret}", jointoken.ca_hash(ca.encode())))


@VERB.command("list", help="List tokens; their secrets are not shown.")
@click.pass_obj
def _list(kubeconfig: str) -> None:
    with admin(kubeconfig) as api:
        found = api.request("GET", _SECRETS, query={"fieldSelector": f"type={_TYPE}"})["items"]
    rows = [("TOKEN", "EXPIRES", "DESCRIPTION")]
    for item in found:
        data = {name: base64.b64decode(value).decode() for name, value in (item.get("data") or {}).items()}
        rows.append((data.get("token-id", ""), data.get("expiration", "never"), data.get("description", "")))
    for token_id, expires, description in rows:
        print(f"{token_id:10}{expires:24}{description}".rstrip())


@VERB.command("delete", help="Delete tokens, by the part before the dot or whole.")
@click.argument("tokens", nargs=-1, required=True)
@click.pass_obj
def _delete(kubeconfig: str, tokens: tuple[str, ...]) -> None:
    with admin(kubeconfig) as api:
        for token in tokens:
            token_id = token.rpartition("::")[2].partition(".")[0]
            if not re.fullmatch(r"[a-z0-9]{6}", token_id):
                raise Failure(f"{token}: not a token, nor the six characters before a token's dot", 2)
            api.request("DELETE", f"{_SECRETS}/bootstrap-token-{token_id}")
            print(f"token {token_id} deleted")


def _duration(text: str) -> timedelta:
    """Raises: Failure."""
    if text == "0":
        return timedelta()
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if match is None:
        raise Failure(f"--ttl {text}: give a number and a unit, as in 30m, 24h or 2d", 2)
    unit: Any = _UNITS[match[2]]
    return timedelta(**{unit: int(match[1])})


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
