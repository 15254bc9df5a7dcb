"""Reads partitions with librdkafka, and prints as JSON the number of their records and the CRC-32 of the values.

framings.py BOOTSTRAP TOPIC GROUP...

A group is partitions separated by commas. A process reads a group; if it fails, each partition that is not at its end gets one of its own.
"""

import json
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import confluent_kafka as ck


def read(bootstrap, topic, partitions):
    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": "framings-%d" % partitions[0], "enable.auto.commit": False,
                            "enable.partition.eof": True, "check.crcs": True})
    counts, sums, left = dict.fromkeys(partitions, 0), dict.fromkeys(partitions, 0), set(partitions)
    end, failure = time.monotonic() + 10, ": no end"
    try:
        consumer.assign([ck.TopicPartition(topic, p, ck.OFFSET_BEGINNING) for p in partitions])
        while left and time.monotonic() < end:
            message = consumer.poll(0.5)
            if message is None:
                continue
            if message.error() is None:
                counts[message.partition()] += 1
                sums[message.partition()] = zlib.crc32(message.value(), sums[message.partition()])
            elif message.error().code() == ck.KafkaError._PARTITION_EOF:
                left.discard(message.partition())
            else:
                failure = ": %s" % message.error()
                break
        return {p: "%d records, %08x%s" % (counts[p], sums[p], failure if p in left else "") for p in partitions}, left
    finally:
        consumer.close()


def main(bootstrap, topic, groups):
    """A process for each: librdkafka sometimes aborts its process by an assertion."""

    def one(group):
        child = subprocess.run([sys.executable, __file__, "--one", bootstrap, topic, group], capture_output=True, text=True)
        if child.returncode == 0:
            return json.loads(child.stdout)
        if "," not in group:
            return {group: "ended with %d: %s" % (child.returncode, child.stderr.strip())}
        found = {}
        for partition in group.split(","):
            found.update(one(partition))
        return found

    found = {}
    with ThreadPoolExecutor(8) as pool:
        for part in pool.map(one, groups):
            found.update(part)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    if sys.argv[1] != "--one":
        main(sys.argv[1], sys.argv[2], sys.argv[3:])
        sys.exit()
    read_, failed = read(sys.argv[2], sys.argv[3], [int(p) for p in sys.argv[4].split(",")])
    if failed and len(read_) > 1:
        sys.exit("not all of %s could be read" % sys.argv[4])
    json.dump(read_, sys.stdout)
