"""The twin as a process of its own, and requests that are no SDK's."""

import asyncio
import base64
import signal
import sys

import aiohttp

from sandbox.stripe_twin import DEFAULT_ACCOUNT, Twin


async def test_it_serves_until_it_is_told_to_stop() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sandbox.stripe_twin",
        "--port",
        "0",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        first = (await process.stdout.readline()).decode()
    url = first.split()[3].rstrip(",")
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer sk_test_twin_backup"}) as session,
        session.get(f"{url}/v1/balance") as response,
    ):
        assert response.status == 200
        assert (await response.json())["object"] == "balance"
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"sk_test_twin_default" in output


async def test_what_is_no_request_of_the_api(twin: Twin) -> None:
    key = DEFAULT_ACCOUNT.secret_key
    cases: list[tuple[str, str, dict[str, str], bytes | None, int]] = [
        ("GET", "/v1/nothing", {"Authorization": f"Bearer {key}"}, None, 404),
        ("GET", "/v1/balance", {}, None, 401),
        ("GET", "/v1/balance", {"Authorization": "Basic !"}, None, 401),
        ("GET", "/v1/balance", {"Authorization": "Bearer k", "Stripe-Account": "a"}, None, 401),
        ("GET", "/v1/balance?a[=1", {"Authorization": f"Bearer {key}"}, None, 400),
        (
            "GET",
            "/v1/balance",
            {"Authorization": f"Bearer {key}", "Stripe-Version": "2020-08-27"},
            None,
            400,
        ),
        (
            "POST",
            "/v1/customers",
            {"Authorization": f"Bearer {key}", "Idempotency-Key": "k"},
            b"{}",
            400,
        ),
        (
            "POST",
            "/v1/customers",
            {"Authorization": f"Bearer {key}", "Idempotency-Key": "k" * 256},
            b"",
            400,
        ),
    ]
    async with aiohttp.ClientSession(twin.url) as session:
        for method, path, headers, body, status in cases:
            async with session.request(method, path, headers=headers, data=body) as response:
                assert response.status == status, path
                error = (await response.json())["error"]
                assert error["type"] == "invalid_request_error"
                assert response.headers["Request-Id"].startswith("req_")
        basic = {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}
        async with session.get("/v1/balance", headers=basic) as response:
            assert response.status == 200
