"""Every RPC of a service, from the descriptors of its stubs: a new one is found by itself."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any


def methods_of(package: Any) -> Iterator[tuple[str, Any]]:
    """Every method of every service that a package's stubs have, after its service's name."""
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if module.name.endswith("_service_pb2"):
            found = importlib.import_module(module.name).DESCRIPTOR.services_by_name
            for service in found.values():
                for method in service.methods:
                    yield service.full_name, method
