"""confluent-kafka (librdkafka) with the commands of `make clients`.

The commands are described in test/suites/clients/doc.go.
"""

import argparse
import base64
import json
import sys
import threading

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, NewTopic


def emit(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def coded(value):
    return None if value is None else base64.b64encode(value).decode()


def decoded(value):
    return None if value is None else base64.b64decode(value)


def common(o):
    return {"bootstrap.servers": o.bootstrap, "client.id": o.client_id}


def create(o):
    admin = AdminClient(common(o))
    for future in admin.create_topics([NewTopic(o.topic, num_partitions=o.partitions)]).values():
        future.result(timeout=60)


def produce(o):
    """One producer per run of orders of the same codec and kind."""
    producer, mode, failed = None, None, []

    def done(i):
        def told(err, message):
            if err is not None:
                failed.append("record %d: %s" % (i, err))
            else:
                emit({"ack": i, "partition": message.partition(), "offset": message.offset()})

        return told

    for text in sys.stdin:
        order = json.loads(text)
        if mode != (order["codec"], order["idempotent"]):
            if producer is not None:
                producer.flush(60)
            mode = (order["codec"], order["idempotent"])
            producer = ck.Producer({**common(o), "acks": "all", "compression.type": mode[0], "enable.idempotence": mode[1]})
        producer.produce(
            o.topic,
            partition=order["partition"],
            key=decoded(order["key"]),
            value=decoded(order["value"]),
            headers=[(name, decoded(value)) for name, value in order["headers"]],
            on_delivery=done(order["i"]),
        )
        producer.poll(0)
    if producer is not None and producer.flush(60) > 0:
        failed.append("flush: some records have no answer after 60 s")
    if failed:
        raise SystemExit("\n".join(failed))


def stream(o):
    """Sends each order as it comes, with one producer, and goes on after records that fail."""
    producer = None
    ended = threading.Event()

    def answers():
        while not ended.is_set():
            producer.poll(0.05)

    def done(i):
        def told(err, message):
            if err is not None:
                emit({"failed": i, "error": str(err)})
            else:
                emit({"ack": i, "partition": message.partition(), "offset": message.offset()})

        return told

    def failed(err):
        sys.stderr.write("producer: %s\n" % err)

    answering = threading.Thread(target=answers, daemon=True)
    for text in iter(sys.stdin.readline, ""):
        order = json.loads(text)
        if producer is None:
            settings = {"acks": "all", "compression.type": order["codec"], "enable.idempotence": order["idempotent"], "error_cb": failed}
            producer = ck.Producer({**common(o), **settings})
            answering.start()
        try:
            producer.produce(o.topic, partition=order["partition"], key=decoded(order["key"]), value=decoded(order["value"]), on_delivery=done(order["i"]))
        except ck.KafkaException as err:
            emit({"failed": order["i"], "error": str(err)})
    if producer is not None:
        ended.set()
        answering.join()
        producer.flush(60)


def consume(o):
    stop = threading.Event()

    def until_stdin_ends():
        sys.stdin.read()
        stop.set()

    threading.Thread(target=until_stdin_ends, daemon=True).start()
    config = {**common(o), "group.id": o.group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    if o.group_protocol:
        config["group.protocol"] = o.group_protocol
    consumer = ck.Consumer(config)
    have = set()

    def assigned(_, partitions):
        have.update(p.partition for p in partitions)
        emit({"assigned": sorted(have)})

    def revoked(_, partitions):
        have.difference_update(p.partition for p in partitions)
        emit({"assigned": sorted(have)})

    consumer.subscribe([o.topic], on_assign=assigned, on_revoke=revoked)
    while not stop.is_set():
        messages = consumer.consume(num_messages=500, timeout=0.1)
        for m in messages:
            if m.error() is not None:
                raise SystemExit("consume: %s" % m.error())
            emit(
                {
                    "partition": m.partition(),
                    "offset": m.offset(),
                    "key": coded(m.key()),
                    "value": coded(m.value()),
                    "headers": [[name, coded(value)] for name, value in m.headers() or []],
                }
            )
        if messages:
            consumer.commit(asynchronous=False)
    consumer.close()
    emit({"closed": True})


def leaders(o):
    client = ck.Producer({**common(o), "topic.metadata.refresh.interval.ms": 10})
    for n in range(1, o.refreshes + 1):
        found = client.list_topics(o.topic, timeout=10)  # asks a broker, each time
        at = {b.id: "%s:%d" % (b.host, b.port) for b in found.brokers.values()}
        topic = found.topics[o.topic]
        if topic.error is not None:
            raise SystemExit("leaders: %s" % topic.error)
        emit({"refresh": n, "leaders": {str(p.id): at[p.leader] for p in topic.partitions.values()}, "brokers": sorted(at.values())})
        client.poll(0)


def main():
    words = {"create": create, "produce": produce, "stream": stream, "consume": consume, "leaders": leaders}
    parser = argparse.ArgumentParser()
    parser.add_argument("word", choices=words)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--client-id", default="")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--group")
    parser.add_argument("--group-protocol")
    parser.add_argument("--refreshes", type=int, default=1)
    o = parser.parse_args()
    emit({"client": "confluent-kafka", "version": "%s, librdkafka %s" % (ck.__version__, ck.libversion()[0])})
    words[o.word](o)


if __name__ == "__main__":
    main()
