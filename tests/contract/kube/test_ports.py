"""The ports of the sandbox: a server that was away finds its own free again."""

import socket

import pytest

from sysdisk.sandbox import ports
from sysdisk.sandbox.ecs_clock import Clock
from sysdisk.sandbox.ecs_model import Cloud
from sysdisk.sandbox.ecs_server import EcsServer
from sysdisk.sandbox.kube_server import KubeServer
from sysdisk.sandbox.kube_store import KubeStore
from sysdisk.sandbox.ports import ephemeral, free_ports


def test_free_ports_differ_and_are_none_that_the_kernel_gives_away() -> None:
    found = free_ports(50)
    assert len(set(found)) == 50
    assert not set(found) & set(ephemeral())


def test_an_outgoing_connection_has_a_port_of_the_range_that_is_left_out() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert client.getsockname()[1] in ephemeral()


def test_a_port_that_somebody_listens_at_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = free_ports(2)
    monkeypatch.setattr(ports, "_UNPRIVILEGED", (taken, free))
    with socket.create_server(("127.0.0.1", taken)):
        assert free_ports(1) == (free,)
        with pytest.raises(OSError, match="2 free ports"):
            free_ports(2)


async def test_servers_listen_outside_the_range_and_come_back_to_their_port() -> None:
    kube, ecs = KubeServer(KubeStore()), EcsServer(Cloud(Clock(1.0).now))
    async with kube, ecs:
        before = (kube.url, ecs.url, await ecs.endpoint_of("cn-hangzhou"))
        numbers = {int(each.rsplit(":", 1)[1]) for each in before}
        assert len(numbers) == 3
        assert not numbers & set(ephemeral())
        await kube.stop()
        await kube.start()
        await ecs.go_dark()
        await ecs.come_back()
        assert (kube.url, ecs.url, await ecs.endpoint_of("cn-hangzhou")) == before
