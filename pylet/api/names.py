"""What names, labels and keys must look like, with upstream's words for what is wrong.

Every check answers the problems it found, () when there are none. Source: apimachinery pkg/util/validation and
pkg/api/validate/content. The common ones are remembered: the same labels and names come with every write.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from pylet.api.remembered import remembered

Problems: TypeAlias = tuple[str, ...]
Check: TypeAlias = Callable[[str], Problems]

LABEL_BYTES = 63
SUBDOMAIN_BYTES = 253
_LOOKED_INTO = 64 << 10  # a text of megabytes is too long whatever is in it, and takes 0.1 s a megabyte

SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""What the ends of generated names are of: consonants and digits that form no words."""

_LABEL_1123 = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN_1123 = _LABEL_1123 + r"(\." + _LABEL_1123 + ")*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = r"\*\." + _SUBDOMAIN_1123
_LABEL_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_LABEL_KEY})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HTTP_HEADER = "[-A-Za-z0-9]+"
_PERCENT = "[0-9]+%"

_LABEL_1123_SAYS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
_SUBDOMAIN_1123_SAYS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_LABEL_1035_SAYS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character"
)
_WILDCARD_SAYS = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)
_UNDERSCORED = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*"
_UNDERSCORED_SAYS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_LABEL_KEY_SAYS = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_LABEL_VALUE_SAYS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)


def too_long(characters: int) -> str:
    return f"must be no more than {characters} characters"


def _too_many_bytes(count: int) -> str:
    return f"must be no more than {count} bytes"


def _unlike(says: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{says} (e.g. {shown}regex used for validation is '{pattern}')"


_is_label_1123 = re.compile(_LABEL_1123).fullmatch
_is_subdomain_1123 = re.compile(_SUBDOMAIN_1123.replace(")*", ")*+")).fullmatch  # greedy, it keeps 130 bytes a label
_is_label_key = re.compile(_LABEL_KEY).fullmatch
_is_label_value = re.compile(_LABEL_VALUE).fullmatch
_is_config_key = re.compile(_CONFIG_KEY).fullmatch


@remembered(1024)
def dns_label(text: str) -> Problems:
    """An RFC 1123 label: namespaces, containers, volumes."""
    found = [too_long(LABEL_BYTES)] if len(text) > LABEL_BYTES else []
    if not _is_label_1123(text):
        # A text that would do as a subdomain has dots in it.
        found.append(
            "must not contain dots"
            if _is_subdomain_1123(text)
            else _unlike(_LABEL_1123_SAYS, _LABEL_1123, "my-name", "123-abc")
        )
    return tuple(found)


@remembered(1024)
def dns_subdomain(text: str) -> Problems:
    """An RFC 1123 subdomain: the names of most objects."""
    found = [too_long(SUBDOMAIN_BYTES)] if len(text) > SUBDOMAIN_BYTES else []
    if len(text) <= _LOOKED_INTO and not _is_subdomain_1123(text):
        found.append(_unlike(_SUBDOMAIN_1123_SAYS, _SUBDOMAIN_1123, "example.com"))
    return tuple(found)


def dns_1035_label(text: str) -> Problems:
    """An RFC 1035 label, which starts with a letter: API versions and kinds in lower case."""
    found = [too_long(LABEL_BYTES)] if len(text) > LABEL_BYTES else []
    if not re.fullmatch(_LABEL_1035, text):
        found.append(_unlike(_LABEL_1035_SAYS, _LABEL_1035, "my-name", "abc-123"))
    return tuple(found)


def wildcard_subdomain(text: str) -> Problems:
    """A subdomain whose first label is `*`: hosts of Ingresses."""
    found = [too_long(SUBDOMAIN_BYTES)] if len(text) > SUBDOMAIN_BYTES else []
    if not re.fullmatch(_WILDCARD, text):
        found.append(_unlike(_WILDCARD_SAYS, _WILDCARD, "*.example.com"))
    return tuple(found)


def dns_subdomain_with_underscore(text: str) -> Problems:
    """A search path of the DNS."""
    found = [too_long(SUBDOMAIN_BYTES)] if len(text) > SUBDOMAIN_BYTES else []
    if not re.fullmatch(_UNDERSCORED, text):
        found.append(_unlike(_UNDERSCORED_SAYS, _UNDERSCORED, "example.com"))
    return tuple(found)


def path_segment(text: str) -> Problems:
    """Anything that can stand in a path: RBAC names."""
    if text in (".", ".."):
        return (f"may not be '{text}'",)
    return path_segment_prefix(text)


def path_segment_prefix(text: str) -> Problems:
    """What others follow."""
    return tuple(f"may not contain '{char}'" for char in "/%" if char in text)


@remembered(4096)
def qualified_name(text: str) -> Problems:
    """`[subdomain/]name`: label keys, finalizers, resource names."""
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        says = _unlike(_LABEL_KEY_SAYS, _LABEL_KEY, "MyName", "my.name", "123-abc")
        return (f"a valid label key {says} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    found = []
    if slash and not prefix:
        found.append("prefix part must be non-empty")
    elif prefix:
        found += [f"prefix part {problem}" for problem in dns_subdomain(prefix)]
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > LABEL_BYTES:
        found.append("name part " + _too_many_bytes(LABEL_BYTES))
    if not _is_label_key(name):
        found.append("name part " + _unlike(_LABEL_KEY_SAYS, _LABEL_KEY, "MyName", "my.name", "123-abc"))
    return tuple(found)


@remembered(4096)
def label_value(text: str) -> Problems:
    found = [_too_many_bytes(LABEL_BYTES)] if len(text) > LABEL_BYTES else []
    if not _is_label_value(text):
        found.append(_unlike(_LABEL_VALUE_SAYS, _LABEL_VALUE, "MyValue", "my_value", "12345"))
    return tuple(found)


def config_key(text: str) -> Problems:
    """A key of a ConfigMap or Secret."""
    found = [too_long(SUBDOMAIN_BYTES)] if len(text) > SUBDOMAIN_BYTES else []
    if not _is_config_key(text):
        says = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        found.append(_unlike(says, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    return (*found, *_climbs(text))


def env_var_name(text: str) -> Problems:
    """Any printable ASCII but `=`."""
    if not text:
        return ("environment variable name must be non-empty",)
    if not (text.isascii() and text.isprintable()) or "=" in text:
        return ("a valid environment variable name must consist only of printable ASCII characters other than '='",)
    return ()


def http_header_name(text: str) -> Problems:
    if re.fullmatch(_HTTP_HEADER, text):
        return ()
    says = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return (_unlike(says, _HTTP_HEADER, "X-Header-Name"),)


def percent(text: str) -> Problems:
    if re.fullmatch(_PERCENT, text):
        return ()
    says = "a valid percent string must be a numeric string followed by an ending '%'"
    return (_unlike(says, _PERCENT, "1%", "93%"),)


def port_number(number: int) -> Problems:
    return () if 0 < number < 65536 else ("must be between 1 and 65535, inclusive",)


@remembered(256)
def port_name(text: str) -> Problems:
    """An IANA service name: the name of a container's port."""
    found = [too_long(15)] if len(text) > 15 else []
    if not re.fullmatch("[-a-z0-9]+", text):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        found.append("must contain at least one letter (a-z)")
    if "--" in text:
        found.append("must not contain consecutive hyphens")
    if text[:1] == "-" or text[-1:] == "-":
        found.append("must not begin or end with a hyphen")
    return tuple(found)


def _climbs(text: str) -> Problems:
    if text in (".", ".."):
        return (f"must not be '{text}'",)
    return ("must not start with '..'",) if text.startswith("..") else ()
