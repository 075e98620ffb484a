"""What tests need of moto, whose servers speak as Amazon's do."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def aws_credentials() -> Iterator[None]:
    """Some, because the client wants some; moto takes any."""
    values = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
