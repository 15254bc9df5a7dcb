"""What the Python programs of `make clients` share: flags, lines, orders."""

import argparse
import base64
import json
import sys
import threading

_printing = threading.Lock()


def emit(line):
    with _printing:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def coded(value):
    return None if value is None else base64.b64encode(bytes(value)).decode()


def decoded(value):
    return None if value is None else base64.b64decode(value)


def record(partition, offset, key, value, headers):
    emit({"partition": partition, "offset": offset, "key": coded(key), "value": coded(value), "headers": [[name, coded(v)] for name, v in headers or []]})


def record_arguments(order):
    """An order as the keyword arguments that kafka-python's and aiokafka's send share."""
    return {
        "partition": order["partition"],
        "key": decoded(order["key"]),
        "value": decoded(order["value"]),
        "headers": [(name, decoded(v)) for name, v in order["headers"]],
    }


def kind(order):
    """The producer settings of an order."""
    codec = order["codec"]
    return {"compression_type": None if codec == "none" else codec, "enable_idempotence": order["idempotent"], "acks": "all"}


def when_stdin_ends(then):
    def wait():
        sys.stdin.read()
        then()

    threading.Thread(target=wait, daemon=True).start()


def options(words):
    parser = argparse.ArgumentParser()
    parser.add_argument("word", choices=words)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--client-id", default="")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--group")
    return parser.parse_args()
