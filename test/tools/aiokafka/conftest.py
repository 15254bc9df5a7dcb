"""Replaces tests/conftest.py, which starts Kafka in a container: here the
suite starts the brokers, and names one of them in KAFKA_ADDRESS."""

import asyncio
import gc
import os

import pytest

KAFKA_VERSION = "4.1.1"


@pytest.fixture(scope="class")
def loop():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    if not loop.is_closed():
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
    gc.collect()
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def collect_garbage():
    """Attributes warnings about unclosed resources to the test that left them open."""
    yield
    gc.collect()


@pytest.fixture(scope="class")
def setup_test_class_serverless(request, loop):
    request.cls.loop = loop


@pytest.fixture(scope="class")
def setup_test_class(request, loop):
    host, port = os.environ["KAFKA_ADDRESS"].rsplit(":", 1)
    request.cls.loop = loop
    request.cls.kafka_host = host
    request.cls.kafka_port = int(port)
    request.cls.hosts = [f"{host}:{port}"]
    request.cls.kafka_version = KAFKA_VERSION


@pytest.fixture
def ssl_folder():
    pytest.skip("TLS of Kafka's listeners comes with an issue of its own")
