"""Whether a CustomResourceDefinition makes sense, in upstream's words and with its paths.

What all versions have alike is named as upstream's inner form has it: `spec.validation`, `spec.subresources`, ….
Source: apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pylet.api import causes, names
from pylet.api.admission_rules import webhooks
from pylet.api.crd import formats, schema_rules
from pylet.api.crd.names import approval_of, has_bad_ca
from pylet.api.errors import Cause
from pylet.api.object import Object, dig, is_true

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_APPROVED = "metadata.annotations[api-approved.kubernetes.io]"
_MOST_SELECTABLE = 8
_REVIEW_VERSIONS = ("v1", "v1beta1")


def validate(crd: Object, old: Object | None = None) -> list[Cause]:
    spec = crd["spec"]
    plural, group = dig(spec, "names", "plural", default=""), spec.get("group") or ""
    found: list[Cause] = []
    if old is None and crd["metadata"].get("name") and crd["metadata"]["name"] != f"{plural}.{group}":
        found.append(
            causes.invalid("metadata.name", crd["metadata"]["name"], 'must be spec.names.plural+"."+spec.group')
        )
    found += _spec(spec, None if old is None else old)
    found += _stored_versions(crd)
    found += _approval(crd, old)
    if spec.get("preserveUnknownFields") and not (old and old["spec"].get("preserveUnknownFields")):
        says = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        found.append(causes.invalid("spec.preserveUnknownFields", True, says))
    return found


def validate_update(crd: Object, old: Object) -> list[Cause]:
    found = validate(crd, old)
    spec, before = crd["spec"], old["spec"]
    if is_true(old, "Established"):
        found += causes.immutable("spec.scope", spec.get("scope"), before.get("scope"))
        found += causes.immutable("spec.names.kind", spec["names"].get("kind"), before["names"].get("kind"))
    found += causes.immutable("spec.group", spec.get("group"), before.get("group"))
    found += causes.immutable("spec.names.plural", spec["names"].get("plural"), before["names"].get("plural"))
    return found


def validate_status(crd: Object, old: Object) -> list[Cause]:
    return _names(dig(crd, "status", "acceptedNames", default={}), "status.acceptedNames")


def warnings(crd: Object) -> Sequence[str]:
    """Formats nobody checks."""
    found: list[str] = []
    for version in crd["spec"].get("versions") or ():
        for schema in schema_rules.nested(dig(version, "schema", "openAPIV3Schema")):
            told = schema.get("format")
            if told and not formats.known(schema.get("type") or "", told):
                found.append(f"unrecognized format {causes.quoted(told)}")
    return found


def _spec(spec: Object, old: Object | None) -> list[Cause]:
    found: list[Cause] = []
    group = spec.get("group") or ""
    if not group:
        found.append(causes.required("spec.group"))
    elif problems := names.dns_subdomain(group):
        found.append(causes.invalid("spec.group", group, ",".join(problems)))
    elif "." not in group:
        found.append(causes.invalid("spec.group", group, "should be a domain with at least one dot"))
    scope = spec.get("scope") or ""
    if not scope:
        found.append(causes.required("spec.scope"))
    elif scope not in ("Cluster", "Namespaced"):
        found.append(causes.not_supported("spec.scope", scope, ("Cluster", "Namespaced")))
    found += _versions(spec.get("versions"))
    for field in ("plural", "singular", "kind", "listKind"):
        if not spec["names"].get(field):
            found.append(causes.required(f"spec.names.{field}"))
    found += _names(spec["names"], "spec.names")
    found += _conversion(spec.get("conversion") or {}, old)
    return found


def _versions(given: list[Object] | None) -> list[Cause]:
    versions = given or []
    own = [field for field in _PARTS if not _alike(versions, field)]
    found: list[Cause] = []
    if "schema" not in own and dig(versions[0], "schema", "openAPIV3Schema") is None:
        found += [causes.required(f"spec.versions[{at}].schema.openAPIV3Schema") for at in range(len(versions))]
    for position, version in enumerate(versions):
        found += _version(version, position, own)
    listed = [version.get("name") for version in versions]
    if len(set(listed)) != len(listed):
        found.append(_versions_cause(versions, "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        found.append(_versions_cause(given and versions, "must have exactly one version marked as storage version"))
    for field, (judge, inner) in _PARTS.items():
        if field not in own:
            found += judge(versions[0], f"spec.{inner}")
    return found


def _version(version: Object, position: int, own: list[str]) -> list[Cause]:
    """`own` are the parts it does not share with all others."""
    found: list[Cause] = []
    where, name = f"spec.versions[{position}]", version.get("name") or ""
    if "schema" in own and dig(version, "schema", "openAPIV3Schema") is None:
        found.append(causes.required(f"{where}.schema.openAPIV3Schema"))
    if problems := names.dns_1035_label(name):
        bad = causes.invalid(f"{where}.name", name, ",".join(problems))
        found += [bad] if position or not name else [bad, Cause(bad.reason, bad.message, "spec.version")]
    for problem in _deprecation_problems(version):
        found.append(causes.marshalled(f"{where}.deprecationWarning", version["deprecationWarning"], problem))
    if "schema" not in own:  # upstream does not find it here then
        version = {**version, "schema": None}
    for field in own:
        found += _PARTS[field][0](version, f"{where}.{field}")
    return found


def _versions_cause(versions: list[Object] | None, says: str) -> Cause:
    """Upstream shows its inner form, where what all versions have alike is empty."""
    shown = [
        {
            "Name": version.get("name") or "",
            "Served": bool(version.get("served")),
            "Storage": bool(version.get("storage")),
            "Deprecated": bool(version.get("deprecated")),
            "DeprecationWarning": version.get("deprecationWarning"),
        }
        | {
            f"{field[0].upper()}{field[1:]}": None if _alike(versions or [], field) else version.get(field)
            for field in _PARTS
        }
        for version in versions or ()
    ]
    return causes.marshalled("spec.versions", None if versions is None else shown, says)


def _alike(versions: list[Object], field: str) -> bool:
    return bool(versions) and all(version.get(field) == versions[0].get(field) for version in versions)


def _deprecation_problems(version: Object) -> list[str]:
    told = version.get("deprecationWarning")
    if told is None:
        return []
    if not version.get("deprecated"):
        return ["can only be set for deprecated versions"]
    found = []
    if len(told.encode()) > 256:
        found.append("must be <= 256 characters long")
    if not told:
        found.append("must not be an empty string")
    strange = next((at for at, char in enumerate(told) if not (char.isprintable() or char == " ")), None)
    if strange is not None:
        says = "must only contain printable UTF-8 characters; non-printable character found at index"
        found.append(f"{says} {len(told[:strange].encode())}")
    return found


def _schema(version: Object, where: str) -> list[Cause]:
    schema = dig(version, "schema", "openAPIV3Schema")
    if schema is None:
        return []
    has_status = dig(version, "subresources", "status") is not None
    return schema_rules.validate(schema, f"{where}.openAPIV3Schema", has_status=has_status)


def _subresources(version: Object, where: str) -> list[Cause]:
    scale = dig(version, "subresources", "scale")
    if scale is None:
        return []
    found: list[Cause] = []
    for field, roots in (
        ("specReplicasPath", (".spec.",)),
        ("statusReplicasPath", (".status.",)),
        ("labelSelectorPath", (".spec.", ".status.")),
    ):
        path, place = scale.get(field) or "", f"{where}.scale.{field}"
        if not path:
            if field != "labelSelectorPath":
                found.append(causes.required(place))
        elif path[0] != ".":
            found.append(causes.invalid(place, path, "must be a simple json path starting with ."))
        elif not path.startswith(roots):
            under = "either .spec or .status" if len(roots) > 1 else roots[0].rstrip(".")
            found.append(causes.invalid(place, path, f"should be a json path under {under}"))
    return found


def _columns(version: Object, where: str) -> list[Cause]:
    found: list[Cause] = []
    for position, column in enumerate(version.get("additionalPrinterColumns") or ()):
        place = f"{where}[{position}]"
        type_, format_, path = (column.get(field) or "" for field in ("type", "format", "jsonPath"))
        one_of = f"must be one of {','.join(_COLUMN_TYPES)}"
        if not column.get("name"):
            found.append(causes.required(f"{place}.name"))
        if not type_:
            found.append(causes.required(f"{place}.type", one_of))
        elif type_ not in _COLUMN_TYPES:
            found.append(causes.invalid(f"{place}.type", type_, one_of))
        if format_ and format_ not in _COLUMN_FORMATS:
            found.append(causes.invalid(f"{place}.format", format_, f"must be one of {','.join(_COLUMN_FORMATS)}"))
        if not path:
            found.append(causes.required(f"{place}.JSONPath"))
        elif path[0] != ".":
            found.append(causes.invalid(f"{place}.JSONPath", path, "must be a simple json path starting with ."))
    return found


def _selectable(version: Object, where: str) -> list[Cause]:
    fields = version.get("selectableFields") or []
    if not fields:
        return []
    from pylet.api.cel import fieldpath

    schema = dig(version, "schema", "openAPIV3Schema")
    if schema is None:
        says = "may only be set when `version.schema.openAPIV3Schema` is not included"
        return [causes.invalid(where, "", says)]
    found: list[Cause] = []
    seen: set[str] = set()
    for position, field in enumerate(fields):
        path, place = field.get("jsonPath") or "", f"{where}[{position}].jsonPath"
        if not path:
            found.append(causes.required(place))
            continue
        try:
            told = fieldpath.followed(path, schema, in_brackets=False)[1]
        except ValueError as bad:
            found.append(causes.invalid(place, path, f"is an invalid path: {bad}"))
            continue
        if path.split(".")[1] == "metadata":
            found.append(causes.invalid(place, path, "must not point to fields in metadata"))
        if told.get("type") not in ("string", "boolean", "integer"):
            says = (
                "must point to a field of type string, boolean or integer. "
                "Enum string fields and strings with formats are allowed."
            )
            found.append(causes.invalid(place, path, says))
        if path in seen:
            found.append(causes.duplicate(place, path))
        seen.add(path)
    if len(seen) > _MOST_SELECTABLE:
        found.append(causes.too_many(where, len(seen), _MOST_SELECTABLE))
    return found


_PARTS: dict[str, tuple[Callable[[Object, str], list[Cause]], str]] = {
    "schema": (_schema, "validation"),
    "subresources": (_subresources, "subresources"),
    "additionalPrinterColumns": (_columns, "additionalPrinterColumns"),
    "selectableFields": (_selectable, "selectableFields"),
}
"""What a version has of its own, how it is judged, and its name where all versions have it alike."""


def _names(given: Object, where: str) -> list[Cause]:
    found: list[Cause] = []
    mixed = "may have mixed case, but should otherwise match: "
    for field, says in (("plural", ""), ("singular", ""), ("kind", mixed), ("listKind", mixed)):
        name = given.get(field) or ""
        problems = names.dns_1035_label(name.lower() if says else name)
        if name and problems:
            found.append(causes.invalid(f"{where}.{field}", name, says + ",".join(problems)))
    found += _labels(given, "shortNames", where)
    if given.get("kind") and given["kind"] == given.get("listKind"):
        found.append(causes.invalid(f"{where}.listKind", given["kind"], "kind and listKind may not be the same"))
    return found + _labels(given, "categories", where)


def _labels(given: Object, field: str, where: str) -> list[Cause]:
    listed = enumerate(given.get(field) or ())
    return [
        causes.invalid(f"{where}.{field}[{at}]", name, ",".join(problems))
        for at, name in listed
        if (problems := names.dns_1035_label(name))
    ]


def _conversion(conversion: Object, old: Object | None) -> list[Cause]:
    where, strategy = "spec.conversion", conversion.get("strategy") or ""
    webhook = conversion.get("webhook") or {}
    client, reviews = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    found: list[Cause] = []
    if not strategy:
        found.append(causes.required(f"{where}.strategy"))
    elif strategy not in ("None", "Webhook"):
        found.append(causes.not_supported(f"{where}.strategy", strategy, ("None", "Webhook")))
    if strategy != "Webhook":
        unset = "should not be set when strategy is not set to Webhook"
        if client is not None:
            found.append(causes.forbidden(f"{where}.webhookClientConfig", unset))
        if reviews:
            found.append(causes.forbidden(f"{where}.conversionReviewVersions", unset))
        return found
    if client is None:
        found.append(causes.required(f"{where}.webhookClientConfig", "required when strategy is set to Webhook"))
    else:
        found += _client(client, f"{where}.webhookClientConfig")
        if (
            old is not None
            and is_true(old, "Established")
            and not has_bad_ca(old["spec"])
            and has_bad_ca({"conversion": conversion})
        ):
            says = "unable to load root certificates: unable to parse bytes as PEM block"
            found.append(causes.invalid(f"{where}.webhookClientConfig.caBundle", client["caBundle"], says))
    return found + _review_versions(reviews, f"{where}.conversionReviewVersions")


def _client(client: Object, where: str) -> list[Cause]:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        return [causes.required(where, "exactly one of url or service is required")]
    if url is not None:
        return webhooks.validate_url(url, f"{where}.url")
    return webhooks.validate_service(service or {}, f"{where}.service")


def _review_versions(versions: list[str], where: str) -> list[Cause]:
    if not versions:
        return [causes.required(where)]
    found: list[Cause] = []
    for position, version in enumerate(versions):
        if version in versions[:position]:
            found.append(causes.invalid(f"{where}[{position}]", version, "duplicate version"))
            continue
        found += causes.each(f"{where}[{position}]", version, names.dns_1035_label(version))
    if not set(versions) & set(_REVIEW_VERSIONS):
        found.append(causes.invalid(where, versions, f"must include at least one of {', '.join(_REVIEW_VERSIONS)}"))
    return found


def _stored_versions(crd: Object) -> list[Cause]:
    stored, where = dig(crd, "status", "storedVersions", default=[]), "status.storedVersions"
    versions = crd["spec"].get("versions") or []
    if not stored:
        return [causes.invalid(where, None, "must have at least one stored version")]
    found, left = [], set(stored)
    for version in versions:
        if version.get("storage") and version["name"] not in left:
            found.append(causes.invalid(where, stored, f"must have the storage version {version['name']}"))
        left.discard(version["name"])  # of two with one name the second is not found
    known = {version.get("name") for version in versions}
    for position, name in enumerate(stored):
        if name not in known:
            says = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in "
                f"spec.versions until a storage migration ensures no data remains persisted in {name} and removes "
                f"{name} from status.storedVersions"
            )
            found.append(causes.invalid(f"{where}[{position}]", name, says))
    return found


def _approval(crd: Object, old: Object | None) -> list[Cause]:
    state = approval_of(crd)
    if state is None or state[0] or state[1] == "UnapprovedAnnotation":
        return []
    if old is not None and (approval_of(old) or (None, None))[1] == state[1]:
        return []
    if state[1] == "MissingAnnotation":
        return [causes.required(_APPROVED, state[2])]
    return [causes.invalid(_APPROVED, crd["metadata"]["annotations"]["api-approved.kubernetes.io"], state[2])]
