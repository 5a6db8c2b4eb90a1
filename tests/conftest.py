"""Fixtures of the system and fault suites."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))

import shopbell  # noqa: E402


@pytest.fixture(scope="session")
def cluster():
    """One cluster for all tests that do not crash it."""
    made = shopbell.Cluster()
    yield made
    made.remove()


@pytest.fixture
def own_cluster():
    """Where no other server takes over what a killed one had begun."""
    made = shopbell.Cluster()
    yield made
    made.remove()


@pytest.fixture(scope="session")
def server(cluster, tmp_path_factory):
    made = shopbell.Server(cluster, str(tmp_path_factory.mktemp("server"))).migrate().start()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def living(request):
    """A shared server that dies is an error of the test in which it does, and of
    that one only: the next has a server again."""
    yield
    for made in request.node.funcargs.values():
        if isinstance(made, shopbell.Server):
            try:
                made.must_live()
            except AssertionError:
                made.start()
                raise


_counter = iter(range(1, 1_000_000))


@pytest.fixture
def api(server):
    """A workspace of the test's own."""
    return shopbell.make_workspace(server, f"brand{next(_counter)}")


@pytest.fixture
def shopify(api):
    return shopbell.Shopify(api)


@pytest.fixture
def woo(api):
    return shopbell.WooCommerce(api)


@pytest.fixture
def esp():
    made = shopbell.Receiver()
    yield made
    made.close()
