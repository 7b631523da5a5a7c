"""Programs that know credentials: what they are asked, and how long their answers hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.config_values import BadConfig
from pylet.agent.kubelet.credential_providers import Answer, ExecProvider, Identity, ProviderFailed, decode, load
from pylet.agent.kubelet.provider_config import ProviderConfig, TokenUse, parse, read
from pylet.api.object import Object
from tests.agent.kubelet.builders import pod

V1 = "credentialprovider.kubelet.k8s.io/v1"
PROVIDER = {"name": "p", "matchImages": ["*.r.io"], "defaultCacheDuration": "1m", "apiVersion": V1}
TOKENS = {"serviceAccountTokenAudience": "r.io", "cacheType": "ServiceAccount", "requireServiceAccount": True}
POD = pod(serviceAccountName="builder")


def config(**provider: Any) -> Object:
    head = {"kind": "CredentialProviderConfig", "apiVersion": "kubelet.config.k8s.io/v1"}
    return {**head, "providers": [{**PROVIDER, **provider}]}


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ({"name": "a/b"}, "cannot contain '/'"),
        ({"name": ".."}, "cannot be '..'"),
        ({"apiVersion": "v1"}, "Unsupported value"),
        ({"matchImages": []}, "at least 1 item in matchImages is required"),
        ({"defaultCacheDuration": None}, "defaultCacheDuration: Required value"),
        ({"colour": "red"}, 'unknown field "providers.colour"'),
        ({"tokenAttributes": {**TOKENS, "cacheType": None}}, "cacheType: Required value"),
        ({"tokenAttributes": {**TOKENS, "cacheType": "Pod"}}, "cacheType: Unsupported value"),
        ({"tokenAttributes": TOKENS, "apiVersion": f"{V1}beta1"}, "only supported for"),
        (
            {"tokenAttributes": {**TOKENS, "requireServiceAccount": False,
                                 "requiredServiceAccountAnnotationKeys": ["a"]}},
            "requireServiceAccount cannot be false",
        ),
    ],
)  # fmt: skip
def test_configurations_that_cannot_be_followed(provider: Object, words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        parse(config(**provider))


def test_a_directory_of_configurations_names_each_provider_once(tmp_path: Path) -> None:
    for name, provider in (("2.yaml", "b"), ("1.json", "a"), ("ignored.txt", "c")):
        (tmp_path / name).write_text(yaml.safe_dump(config(name=provider)))
    before = set(counters.PROVIDER_CONFIG.lines())
    assert [found.name for found in read(tmp_path)] == ["a", "b"]
    files = [(tmp_path / name).read_bytes() for name in ("1.json", "2.yaml")]
    both = b"".join(len(raw).to_bytes(8, "big") + raw for raw in files)
    told = f'kubelet_credential_provider_config_info{{hash="sha256:{sha256(both).hexdigest()}"}} 1'
    assert told in set(counters.PROVIDER_CONFIG.lines()) - before
    (tmp_path / "3.yml").write_text(yaml.safe_dump(config(name="a")))
    with pytest.raises(BadConfig, match='duplicate provider name "a"'):
        read(tmp_path)


class Story:
    """One provider with a program that counts how often it is asked."""

    def __init__(self, use: TokenUse | None = None, *, scope: str = "Image", annotations: Object | None = None) -> None:
        self.now = datetime(2026, 1, 2, tzinfo=UTC)
        self.asked: list[tuple[str, Identity]] = []
        self.password, self.scope, self.token = "pw", scope, "token-1"
        self.account = {"metadata": {"uid": "sa-uid", "annotations": annotations or {}}}
        settings = ProviderConfig("p", V1, ("*.r.io",), timedelta(minutes=1), token=use)
        clock = cast(Any, SimpleNamespace(now=lambda: self.now))
        client = cast(Any, SimpleNamespace(get=self._account))
        self.provider = ExecProvider(settings, client, self._token, clock, self._program)

    async def _account(self, *_: Any) -> Object:
        return self.account

    async def _token(self, *_: Any) -> tuple[Object, datetime]:
        return {"token": self.token}, self.now

    async def _program(self, image: str, identity: Identity) -> Answer:
        self.asked.append((image, identity))
        answer = {"kind": "CredentialProviderResponse", "apiVersion": V1, "cacheKeyType": self.scope,
                  "auth": {"*.r.io": {"username": "u", "password": self.password}}}  # fmt: skip
        return decode(json.dumps(answer).encode(), image, self.provider.config)

    async def ask(self, image: str = "a.r.io/app", of: Object = POD) -> dict[str, Any]:
        return dict((await self.provider.provide(image, of))[0])


@pytest.mark.parametrize(
    ("scope", "times"),
    [("Image", 3), ("Registry", 2), ("Global", 1)],
)
async def test_what_an_answer_holds_for(scope: str, times: int) -> None:
    story = Story(scope=scope)
    for image in ("a.r.io/app", "a.r.io/app", "a.r.io/other", "b.r.io/app"):
        assert await story.ask(image)
    assert await story.ask("elsewhere.io/app") == {}
    assert len(story.asked) == times
    story.now += timedelta(minutes=2)
    await story.ask("a.r.io/app")
    assert len(story.asked) == times + 1


USE = TokenUse("r.io", is_required=True, by_token=False, required_annotations=("role",), optional_annotations=("hint",))


async def test_a_service_account_s_token_and_annotations_are_shown() -> None:
    story = Story(USE, annotations={"role": "puller", "other": "x"})
    assert await story.ask()
    (_, identity), = story.asked  # fmt: skip
    assert (identity.token, identity.annotations) == ("token-1", (("role", "puller"),))
    story.token = "token-2"
    await story.ask()
    assert len(story.asked) == 1


@pytest.mark.parametrize(
    ("annotations", "of"),
    [({}, POD), ({"role": "puller"}, pod())],
    ids=["an annotation is missing", "no account"],
)
async def test_who_is_not_asked(annotations: Object, of: Object) -> None:
    story = Story(USE, annotations=annotations)
    assert await story.ask(of=of) == {}
    assert not story.asked


async def test_a_token_that_is_the_password_must_be_kept_by_token() -> None:
    story = Story(USE, annotations={"role": "puller"})
    story.password = story.token
    assert await story.ask() == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found.update(apiVersion="v0"), "did not match expected apiVersion"),
        (lambda found: found.update(kind="Other"), "error decoding"),
        (lambda found: found.update(cacheKeyType="Pod"), "did not return a valid cacheKeyType: Pod"),
        (lambda found: found.update(auth="hunter2"), "error decoding"),
    ],
)
def test_answers_that_cannot_be_used(change: Callable[[Object], None], words: str) -> None:
    found: Object = {"kind": "CredentialProviderResponse", "apiVersion": V1, "cacheKeyType": "Image"}
    change(found)
    with pytest.raises(ProviderFailed, match=words) as failed:
        decode(json.dumps(found).encode(), "i", ProviderConfig("p", V1, (), timedelta()))
    assert "hunter2" not in str(failed.value)


async def test_a_real_program(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(config(name="echo", args=["--x"], env=[{"name": "WHO", "value": "me"}]))
    )
    program = tmp_path / "echo"
    program.write_text(
        f"""#!/bin/sh
read request
case "$request" in *'"image":"a.r.io/app"'*) ;; *) echo "what?" >&2; exit 3;; esac
echo '{{"kind":"CredentialProviderResponse","apiVersion":"{V1}","cacheKeyType":"Image",'
echo '"auth":{{"a.r.io":{{"username":"'$WHO'","password":"'$1'"}}}}}}'
"""
    )
    story = Story()

    def loaded() -> ExecProvider:
        (found,) = load(tmp_path / "config.yaml", tmp_path, cast(Any, None), cast(Any, None), story.provider.clock)
        return found

    with pytest.raises(BadConfig, match="did not exist"):
        loaded()
    program.chmod(0o755)
    provider, asked, failed = loaded(), sum(counters.PROVIDERS.counts("echo")), counters.PROVIDER_ERRORS.value("echo")
    assert (await provider.provide("a.r.io/app", POD))[0] == {"a.r.io": {"username": "me", "password": "--x"}}
    with pytest.raises(ProviderFailed, match=r"exit status 3: what\?"):
        await provider.program("b.r.io/app", Identity())
    assert sum(counters.PROVIDERS.counts("echo")) == asked + 2
    assert counters.PROVIDER_ERRORS.value("echo") == failed + 1
