"""kafka-python with the commands of `make clients`.

The commands are described in test/suites/clients/doc.go.
"""

import json
import sys
import threading

import kafka
from kafka.admin import NewTopic

from words import emit, kind, options, record, record_arguments, when_stdin_ends


def common(o):
    return {"bootstrap_servers": o.bootstrap, "client_id": o.client_id}


def create(o):
    admin = kafka.KafkaAdminClient(**common(o))
    admin.create_topics([NewTopic(o.topic, num_partitions=o.partitions, replication_factor=1)])
    admin.close()


def send(producer, o, order, failed):
    try:
        future = producer.send(o.topic, **record_arguments(order))
    except kafka.errors.KafkaError as err:
        failed(order["i"], err)
        return
    future.add_callback(lambda at: emit({"ack": order["i"], "partition": at.partition, "offset": at.offset}))
    future.add_errback(lambda err: failed(order["i"], err))


def produce(o):
    """One producer per run of orders of the same codec and kind."""
    producer, mode, failures = None, None, []
    for text in sys.stdin:
        order = json.loads(text)
        if mode != (order["codec"], order["idempotent"]):
            if producer is not None:
                producer.close(60)
            mode = (order["codec"], order["idempotent"])
            producer = kafka.KafkaProducer(**common(o), **kind(order))
        send(producer, o, order, lambda i, err: failures.append("record %d: %r" % (i, err)))
    if producer is not None:
        producer.close(60)
    if failures:
        raise SystemExit("\n".join(failures))


def stream(o):
    """Sends each order as it comes, with one producer, and goes on after records that fail."""
    producer = None
    for text in iter(sys.stdin.readline, ""):
        order = json.loads(text)
        if producer is None:
            producer = kafka.KafkaProducer(**common(o), **kind(order))
        send(producer, o, order, lambda i, err: emit({"failed": i, "error": repr(err)}))
    if producer is not None:
        producer.close(60)


class Assigned(kafka.ConsumerRebalanceListener):
    def on_partitions_assigned(self, assigned):
        emit({"assigned": sorted(tp.partition for tp in assigned)})

    def on_partitions_revoked(self, revoked):
        emit({"assigned": []})


def consume(o):
    stop = threading.Event()
    when_stdin_ends(stop.set)
    consumer = kafka.KafkaConsumer(**common(o), group_id=o.group, auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.subscribe([o.topic], listener=Assigned())
    while not stop.is_set():
        read = consumer.poll(timeout_ms=100)
        for records in read.values():
            for r in records:
                record(r.partition, r.offset, r.key, r.value, r.headers)
        if read:
            consumer.commit()
    consumer.close()
    emit({"closed": True})


def main():
    words = {"create": create, "produce": produce, "stream": stream, "consume": consume}
    o = options(words)
    emit({"client": "kafka-python", "version": kafka.__version__})
    words[o.word](o)


if __name__ == "__main__":
    main()
