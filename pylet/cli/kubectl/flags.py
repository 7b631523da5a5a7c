"""The flags that several verbs take, so that they are called and explained alike."""

from __future__ import annotations

from pylet.cli.kubectl.command import many, number, switch, text

FILENAME = many("filename", "f", help="Files, folders, URLs or - with the objects.")
RECURSIVE = switch("recursive", "R", help="Folders with what is below them.")
FILES = (FILENAME, RECURSIVE)
SELECTOR = text("selector", "l", help="Label selector.")
ALL_NAMESPACES = switch("all-namespaces", "A", help="In all namespaces.")
CHOOSING = (
    *FILES,
    SELECTOR,
    text("field-selector", help="Field selector."),
    switch("all", help="All objects of the type."),
    ALL_NAMESPACES,
)
"""What `writing.choose` reads."""
CHUNK_SIZE = number("chunk-size", default=500, help="Objects in one answer; 0 for all.")
SHOW_MANAGED_FIELDS = switch("show-managed-fields", help="Keep managedFields.")
SUBRESOURCE = text("subresource", help="status, scale, …")

OUTPUT = text("output", "o", help="Print the object: yaml, json, name, jsonpath=…")
DRY_RUN = text("dry-run", default="none", bare="unchanged", help="none, client or server.")
FIELD_MANAGER = text("field-manager", help="Who the fields belong to.")
WRITING = (OUTPUT, DRY_RUN, FIELD_MANAGER)
VALIDATE = text("validate", default="strict", bare="strict", help="strict, warn or ignore.")
SAVE_CONFIG = switch("save-config", help="Note what was applied, for `kubectl apply`.")
LOCAL = switch("local", help="Change what files say, and print it; the server is not asked.")
RECORD = switch("record", help="Note the command line as kubernetes.io/change-cause.")
RESOURCE_VERSION = text("resource-version", help="Change only this revision of the object.")

CASCADE = text("cascade", default="background", bare="background", help="background, foreground or orphan.")
PRUNING = (
    switch("prune", help="Remove what was applied and no file says any more."),
    many("prune-allowlist", help="GROUP/VERSION/KIND that may be removed, instead of the usual ones."),
)
