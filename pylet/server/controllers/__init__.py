"""One file per controller, each declaring `CONTROLLER`; none imports another, none does I/O."""

import importlib
import pkgutil

from pylet.server.reconcile.plan import Controller


def controllers() -> list[Controller]:
    """Every controller of this package."""
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    return [module.CONTROLLER for module in modules if hasattr(module, "CONTROLLER")]
