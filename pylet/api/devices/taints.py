"""Which taints of devices a toleration means."""

from pylet.api.object import Object


def tolerates(toleration: Object, taint: Object) -> bool:
    if any(toleration.get(name) and toleration[name] != taint.get(name) for name in ("effect", "key")):
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")
