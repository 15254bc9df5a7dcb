"""Replaces test/service.py, which the archive on PyPI leaves out: the
suite starts the brokers, so there is nothing to spawn."""


class ExternalService:
    """A running broker."""

    def __init__(self, host, port):
        self.host, self.port = host, port


class SpawnedService:
    """A broker that a test would start itself."""

    def __init__(self, *_):
        raise RuntimeError("brokers are started by the suite")
