"""Calls by `buf curl`, which learns the types from the server: a client without any code."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from sandbox.addresses import at

BUF = shutil.which("buf", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


async def buf_curl(port: int, home: Path, *arguments: str) -> str:
    """What `buf curl` prints, run in a folder without the project's protos."""
    assert BUF is not None
    process = await asyncio.create_subprocess_exec(
        *(BUF, "curl", "--http2-prior-knowledge", "--protocol", "grpc"),
        *arguments[:-1],
        f"http://{at(port)}{arguments[-1]}",
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def call(port: int, home: Path, method: str, request: dict[str, Any]) -> Any:
    """The answer of one method, as JSON."""
    return json.loads(await buf_curl(port, home, "-d", json.dumps(request), f"/{method}"))
