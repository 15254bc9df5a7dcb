"""Reads partitions with librdkafka, each by itself, and prints what is in them.

framings.py BOOTSTRAP TOPIC PARTITION...
"""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import confluent_kafka as ck


def read(bootstrap, topic, partition):
    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": "framings-%d" % partition, "enable.auto.commit": False,
                            "enable.partition.eof": True, "check.crcs": True})
    records, end = 0, time.monotonic() + 10
    try:
        consumer.assign([ck.TopicPartition(topic, partition, ck.OFFSET_BEGINNING)])
        while time.monotonic() < end:
            message = consumer.poll(0.5)
            if message is None:
                continue
            if message.error() is None:
                records += 1
            elif message.error().code() == ck.KafkaError._PARTITION_EOF:
                return "%d records" % records
            else:
                return "%d records: %s" % (records, message.error())
        return "%d records: no end" % records
    finally:
        consumer.close()


def main(bootstrap, topic, partitions):
    """A process for each: librdkafka ends its own by an assertion, now and then."""

    def one(p):
        child = subprocess.run([sys.executable, __file__, "--one", bootstrap, topic, p], capture_output=True, text=True)
        return child.stdout.strip() if child.returncode == 0 else "ended with %d: %s" % (child.returncode, child.stderr.strip())

    with ThreadPoolExecutor(8) as pool:
        json.dump(dict(zip(partitions, pool.map(one, partitions))), sys.stdout)


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        print(read(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    else:
        main(sys.argv[1], sys.argv[2], sys.argv[3:])
