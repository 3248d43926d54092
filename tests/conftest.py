"""What every test gets: hypothesis profiles, no network, and a budget for unmarked tests."""

from __future__ import annotations

import ipaddress
import os
import socket

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("fast", max_examples=25, deadline=None, derandomize=True)
settings.register_profile(
    "ci",
    max_examples=150,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],  # this machine's neighbours are not the test's
)
settings.register_profile("deep", max_examples=5000, deadline=None)
settings.load_profile("ci")

UNMARKED_SECONDS = 5.0


def _is_local(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # a unix socket
    host = address[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests reach this machine only; what needs an index runs pip in its own process."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if not _is_local(address):
            pytest.fail(f"a test tried to reach the network: {address!r}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item):
    """Under .ci/run a test without the marker `slow` may not burn more than the budget.

    CPU time, not wall time: a busy neighbour must not fail a test.
    """
    start = _cpu_seconds()
    result = yield
    spent = _cpu_seconds() - start
    if (
        "ZPML_REQUIRE_WHEEL_TESTS" in os.environ
        and spent > UNMARKED_SECONDS
        and item.get_closest_marker("slow") is None
    ):
        pytest.fail(f"{spent:.1f} s of CPU without the marker `slow`")
    return result
