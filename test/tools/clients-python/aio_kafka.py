"""aiokafka with the commands of `make clients`.

The commands are described in test/suites/clients/doc.go.
"""

import asyncio
import json
import sys

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from words import emit, kind, options, record, record_arguments, when_stdin_ends


def common(o):
    return {"bootstrap_servers": o.bootstrap, "client_id": o.client_id}


async def create(o):
    admin = AIOKafkaAdminClient(**common(o))
    await admin.start()
    answer = await admin.create_topics([NewTopic(o.topic, num_partitions=o.partitions, replication_factor=1)])
    await admin.close()
    for topic in answer.topic_errors:
        if topic[1] != 0:
            raise SystemExit("create: %r" % (topic,))


async def answered(future, i, failed):
    try:
        at = await future
        emit({"ack": i, "partition": at.partition, "offset": at.offset})
    except aiokafka.errors.KafkaError as err:
        failed(i, err)


async def send(producer, o, order, failed):
    """Sends a record; the returned task ends with the response."""
    try:
        future = await producer.send(o.topic, **record_arguments(order))
    except aiokafka.errors.KafkaError as err:
        failed(order["i"], err)
        return None
    return asyncio.create_task(answered(future, order["i"], failed))


async def lines():
    """Standard input without blocking the loop that sends."""
    loop = asyncio.get_running_loop()
    while True:
        text = await loop.run_in_executor(None, sys.stdin.readline)
        if not text:
            return
        yield json.loads(text)


async def produce(o):
    """One producer per run of orders of the same codec and kind."""
    producer, mode, failures, waiting = None, None, [], []
    async for order in lines():
        if mode != (order["codec"], order["idempotent"]):
            if producer is not None:
                await producer.stop()
            mode = (order["codec"], order["idempotent"])
            producer = aiokafka.AIOKafkaProducer(**common(o), **kind(order))
            await producer.start()
        waiting.append(await send(producer, o, order, lambda i, err: failures.append("record %d: %r" % (i, err))))
    if producer is not None:
        await producer.stop()
    await asyncio.gather(*[task for task in waiting if task is not None])
    if failures:
        raise SystemExit("\n".join(failures))


async def stream(o):
    """Sends each order as it comes, with one producer, and goes on after records that fail."""
    producer, waiting = None, set()
    async for order in lines():
        if producer is None:
            producer = aiokafka.AIOKafkaProducer(**common(o), **kind(order))
            await producer.start()
        task = await send(producer, o, order, lambda i, err: emit({"failed": i, "error": repr(err)}))
        if task is not None:
            waiting.add(task)
            task.add_done_callback(waiting.discard)
    if producer is not None:
        await producer.stop()
    await asyncio.gather(*waiting)


class Assigned(aiokafka.ConsumerRebalanceListener):
    async def on_partitions_assigned(self, assigned):
        emit({"assigned": sorted(tp.partition for tp in assigned)})

    async def on_partitions_revoked(self, revoked):
        emit({"assigned": []})


async def consume(o):
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    when_stdin_ends(lambda: loop.call_soon_threadsafe(stop.set))
    consumer = aiokafka.AIOKafkaConsumer(**common(o), group_id=o.group, auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.subscribe([o.topic], listener=Assigned())
    await consumer.start()
    while not stop.is_set():
        read = await consumer.getmany(timeout_ms=100)
        for records in read.values():
            for r in records:
                record(r.partition, r.offset, r.key, r.value, r.headers)
        if read:
            await consumer.commit()
    await consumer.stop()
    emit({"closed": True})


def main():
    words = {"create": create, "produce": produce, "stream": stream, "consume": consume}
    o = options(words)
    emit({"client": "aiokafka", "version": aiokafka.__version__})
    asyncio.run(words[o.word](o))


if __name__ == "__main__":
    main()
