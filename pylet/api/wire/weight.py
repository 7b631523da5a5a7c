"""How much a body may hold, so that a request stays within 64 MiB: Python's objects are larger than Go's.

Values, fields and objects weigh what each costs from decoding to the store, the worst kind taken: an empty `{}` what
it is defaulted to. Measured: 144,000 labels take 56 MiB, as many fields of a ConfigMap 39, 72,000 containers that are
`{}` 52, 360,000 arguments 60. What upstream's etcd can keep, 1.5 MB, holds less of what is no attack. Who owns
the fields of so wide an object is not noted (`pylet.server.registry.ownership`): that takes twice what they do.
"""

from __future__ import annotations

from typing import Final

VALUE: Final = 2
FIELD: Final = 5
OBJECT: Final = 10
MOST: Final = 720_000
