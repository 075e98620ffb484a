"""Ports of the sandbox are its own from the choice until they are listened on."""

import socket
import sys

import grpc

from sandbox.addresses import HOST, Ports, at, free_port


def test_nobody_is_given_a_reserved_port_but_its_server() -> None:
    ports = Ports.free()
    assert ports.taken() == []
    with socket.socket() as stranger:
        # What chooses for a connection, or for any port, asks as strictly.
        try:
            stranger.bind((HOST, ports.gateway))
        except OSError:
            is_reserved = True
        else:
            is_reserved = False
    assert is_reserved == (sys.platform == "linux")
    with socket.create_server((HOST, ports.gateway_http)):
        assert ports.taken() == [f"gateway_http ({ports.gateway_http})"]


async def test_grpc_listens_on_a_reserved_port() -> None:
    ports = Ports.free()
    for port, options in ((ports.gateway, {}), (ports.ledger, {"grpc.so_reuseport": 0})):
        server = grpc.aio.server(options=list(options.items()))
        assert server.add_insecure_port(at(port)) == port
        await server.start()
        await server.stop(None)


def test_ports_are_given_back() -> None:
    gateway = Ports.free().gateway
    with socket.socket() as anyone:
        anyone.bind((HOST, gateway))
        assert anyone.getsockname() == (HOST, gateway)


def test_a_single_port_is_reserved_as_long_as_the_process_lives() -> None:
    port = free_port()
    with socket.create_server((HOST, port)):
        pass
    assert len({port, *(free_port() for _ in range(50))}) == 51
