"""`pylet secrets-encrypt`: whether Secrets are kept encrypted, and with which keys."""

from __future__ import annotations

import click

from pylet.api.object import Object
from pylet.cli.admin import admin

_PATH = "/pylet/v1/secrets-encryption"


@click.group("secrets-encrypt", help="See and change how Secrets are kept. The server needs --secrets-encryption.")
@click.option("--kubeconfig", default="", metavar="FILE", help="Kubeconfig to reach the server with.")
@click.pass_context
def VERB(ctx: click.Context, kubeconfig: str) -> None:  # noqa: N802 (what a verb's file declares)
    ctx.obj = kubeconfig


@VERB.command("status", help="Show whether Secrets are encrypted, and the keys' names.")
@click.pass_obj
def _status(kubeconfig: str) -> None:
    with admin(kubeconfig) as api:
        _show(api.request("GET", _PATH))


@VERB.command("rotate-keys", help="Make a new key, encrypt every Secret with it and forget the old one.")
@click.pass_obj
def _rotate(kubeconfig: str) -> None:
    _change(kubeconfig, "rotate-keys")


@VERB.command("enable", help="Encrypt every Secret, now and from now on.")
@click.pass_obj
def _enable(kubeconfig: str) -> None:
    _change(kubeconfig, "enable")


@VERB.command("disable", help="Keep every Secret as plain text, now and from now on.")
@click.pass_obj
def _disable(kubeconfig: str) -> None:
    _change(kubeconfig, "disable")


def _change(kubeconfig: str, action: str) -> None:
    with admin(kubeconfig) as api:
        found = api.request("POST", _PATH, query={"action": action})
    print(f"{found['written']} secrets written anew")
    _show(found)


def _show(found: Object) -> None:
    print(f"Encryption Status: {'Enabled' if found['enabled'] else 'Disabled'}\n")
    print(f"{'Active':8}{'Key Type':10}Name")
    for name in found["keys"]:
        print(f"{'*' if name == found['active'] else '':8}{found['provider']:10}{name}".rstrip())
