"""What a server has only when its configuration asks for it: nothing of it is imported or kept otherwise."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pylet.aio.clock import Clock
from pylet.api.errors import BadRequest
from pylet.api.object import Object
from pylet.server.auth.remote import Outside
from pylet.server.config import ServerConfig
from pylet.server.place import Unusable
from pylet.server.registry.form import Layout
from pylet.store.interface import Store, StoreError

if TYPE_CHECKING:
    from pylet.server.admission_settings import AdmissionSettings
    from pylet.server.audit.auditor import Auditor
    from pylet.server.encryption.own_keys import OwnKeys
    from pylet.server.scheduler.decide import Profile

log = logging.getLogger(__name__)


def outside(config: ServerConfig, audience: str, clock: Clock) -> Outside:
    if not config.asks_others:
        return Outside()
    from pylet.server.auth.remote import settings

    try:
        return settings.outside(config, audience, clock)
    except settings.BadSettings as bad:
        raise Unusable(str(bad)) from bad


def admission(config: ServerConfig) -> AdmissionSettings | None:
    """None where the server's own chain is to be used."""
    file = config.admission_control_config_file
    if file is None:
        return None
    from pylet.api.configuration.decoding import BadConfiguration
    from pylet.server import admission_settings

    try:
        return admission_settings.read(file)
    except BadConfiguration as bad:
        raise Unusable(f"--admission-control-config-file {file}: {bad}") from bad


def scheduler_profiles(config: ServerConfig) -> Sequence[Profile]:
    """Empty where the scheduler's own are to be used."""
    if config.kube_scheduler_config is None:
        return ()
    import yaml

    from pylet.server.scheduler.configuration import profiles

    try:
        return profiles(yaml.safe_load(config.kube_scheduler_config.read_text()) or {})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as bad:
        raise Unusable(f"cannot schedule by {config.kube_scheduler_config}: {bad}") from bad


def auditor(config: ServerConfig, clock: Clock, group: asyncio.TaskGroup) -> Auditor | None:
    if config.audit_policy_file is None or config.audit_log_path is None:
        return None
    from pylet.api.configuration import audit
    from pylet.api.configuration.decoding import BadConfiguration
    from pylet.server.audit.auditor import Auditor
    from pylet.server.audit.log import AuditLog, Rotation
    from pylet.server.audit.policy import Policy

    try:
        document, odd = audit.read(config.audit_policy_file.read_bytes())
    except (OSError, BadConfiguration) as bad:
        raise Unusable(f"loading audit policy file: {bad}: from file {config.audit_policy_file}") from bad
    if odd:
        log.warning("the audit policy contains errors, which are passed over: %s", odd)
    rotation = Rotation(config.audit_log_maxage, config.audit_log_maxbackup, config.audit_log_maxsize)
    written = AuditLog(config.audit_log_path, rotation, clock.now)
    group.create_task(written.run())
    return Auditor(Policy(document), written, clock.now)


async def encrypted(config: ServerConfig, store: Store, clock: Clock) -> tuple[Store, OwnKeys | None]:
    """The store behind its encryption, if there is any, with everything in it sealed as it shall be."""
    own = config.data_dir / "server" / "cred" / "encryption-config.json"
    file = config.encryption_provider_config
    if file is None and not config.secrets_encryption and not own.exists():
        kept = await store.scan(f"{Layout.ROOT}core/secrets/", limit=1)
        if any(record.value.startswith(b"k8s:enc:") for record in kept.records):
            raise Unusable("what is stored is encrypted: give the --encryption-provider-config it was written with")
        return store, None
    from pylet.server.encryption.configuration import BadConfiguration, read
    from pylet.server.encryption.own_keys import OwnKeys
    from pylet.server.encryption.store import EncryptedStore

    own_keys = OwnKeys(own) if file is None else None
    try:
        if own_keys is not None:
            document = own_keys.ensure(clock.now())
        else:
            import yaml

            assert file is not None
            document = yaml.safe_load(file.read_text())
        encrypted = EncryptedStore(store, read(document))
        await encrypted.rewrite(Layout.ROOT)
    except (BadConfiguration, OSError, ValueError, StoreError) as bad:
        raise Unusable(f"cannot encrypt with {file or own}: {bad}") from bad
    return encrypted, own_keys


async def secrets_encryption(store: Any, own_keys: OwnKeys | None, clock: Clock, action: str) -> Object:
    """What `pylet secrets-encrypt` asks for. Raises: ApiError."""
    if own_keys is None:
        raise BadRequest("the server does not run with --secrets-encryption")
    from pylet.server.encryption.own_keys import ACTIONS

    if not action:
        return own_keys.status()
    if action not in ACTIONS:
        raise BadRequest(f"no such action: {action}")
    written = await own_keys.change(action, store, clock.now())
    return {**own_keys.status(), "written": written}
