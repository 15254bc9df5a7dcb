// kafkajs with the commands of `make clients`, which are described in
// test/suites/clients/doc.go. kafkajs has gzip built in; the other codecs
// are plug-ins: kafkajs-snappy, and two small ones here on lz4js and zstd-codec.
'use strict'

const readline = require('readline')
const { parseArgs } = require('util')
const { Kafka, CompressionTypes, CompressionCodecs, Partitioners, logLevel } = require('kafkajs')
const SnappyCodec = require('kafkajs-snappy')
const lz4 = require('lz4js')
const xxh32 = require('lz4js/xxh32')
const { ZstdCodec } = require('zstd-codec')

const sendAtOnce = 20 // records of a request

// lz4js sets the flag for linked blocks in its frames, which Apache Kafka refuses and
// Java's consumers cannot read (with unchanged kafkajs and lz4js, Kafka 4.4.0 returns
// 87, too). In a frame of one block the flag has no meaning.
function independent (frame) {
  frame[4] |= 0x20
  frame[6] = (xxh32.hash(0, frame, 4, 2) >> 8) & 0xff
  return frame
}

CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => independent(Buffer.from(lz4.compress(encoder.buffer))),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
})
const zstd = new Promise((resolve) => ZstdCodec.run((found) => resolve(new found.Simple())))
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from((await zstd).decompress(buffer)),
})

const codecs = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

const emit = (line) => process.stdout.write(JSON.stringify(line) + '\n')
const coded = (value) => (value == null ? null : Buffer.from(value).toString('base64'))
const decoded = (value) => (value == null ? null : Buffer.from(value, 'base64'))

async function create(kafka, o) {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: o.topic, numPartitions: Number(o.partitions) }], waitForLeaders: true })
  await admin.disconnect()
}

async function produce(kafka, o) {
  let producer = null
  let mode = null
  let pending = []
  const flush = async () => {
    while (pending.length > 0) {
      await send(producer, o.topic, mode, pending.splice(0, sendAtOnce))
    }
  }
  for await (const text of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(text)
    if (mode === null || mode.codec !== order.codec || mode.idempotent !== order.idempotent) {
      await flush()
      if (producer !== null) await producer.disconnect()
      mode = { codec: order.codec, idempotent: order.idempotent }
      producer = kafka.producer({ idempotent: mode.idempotent, createPartitioner: Partitioners.DefaultPartitioner })
      await producer.connect()
    }
    pending.push(order)
  }
  await flush()
  if (producer !== null) await producer.disconnect()
}

// stream sends each order when it arrives, with one producer, and continues after
// records that fail.
async function stream(kafka, o) {
  let producer = null
  for await (const text of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(text)
    if (producer === null) {
      producer = kafka.producer({ idempotent: order.idempotent, createPartitioner: Partitioners.DefaultPartitioner })
      await producer.connect()
    }
    try {
      await send(producer, o.topic, { codec: order.codec }, [order])
    } catch (err) {
      emit({ failed: order.i, error: String(err) })
    }
  }
  if (producer !== null) await producer.disconnect()
}

// send derives each record's offset from the base offset of its partition's batch.
async function send(producer, topic, mode, orders) {
  const messages = orders.map((order) => {
    const headers = {}
    for (const [name, value] of order.headers) headers[name] = decoded(value)
    return { partition: order.partition, key: decoded(order.key), value: decoded(order.value), headers }
  })
  const answers = await producer.send({ topic, acks: -1, compression: codecs[mode.codec], messages })
  const next = new Map(answers.map((a) => [a.partition, BigInt(a.baseOffset)]))
  for (const order of orders) {
    const offset = next.get(order.partition)
    next.set(order.partition, offset + 1n)
    emit({ ack: order.i, partition: order.partition, offset: Number(offset) })
  }
}

async function consume(kafka, o) {
  const consumer = kafka.consumer({ groupId: o.group, retry: { retries: 10 } })
  consumer.on(consumer.events.GROUP_JOIN, (e) => emit({ assigned: e.payload.memberAssignment[o.topic] || [] }))
  consumer.on(consumer.events.REBALANCING, () => emit({ assigned: [] }))
  consumer.on(consumer.events.CRASH, (e) => {
    console.error('crash', e.payload.error)
    if (!e.payload.restart) process.exit(1)
  })
  await consumer.connect()
  await consumer.subscribe({ topic: o.topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      let next = null
      for (const m of batch.messages) {
        const headers = Object.entries(m.headers || {}).map(([name, value]) => [name, coded(value)])
        emit({ partition: batch.partition, offset: Number(m.offset), key: coded(m.key), value: coded(m.value), headers })
        next = (BigInt(m.offset) + 1n).toString()
      }
      if (next !== null) await consumer.commitOffsets([{ topic: o.topic, partition: batch.partition, offset: next }])
    },
  })
  process.stdin.resume()
  await new Promise((resolve) => process.stdin.on('end', resolve))
  await consumer.disconnect()
  emit({ closed: true })
}

async function main() {
  const word = process.argv[2]
  const text = { type: 'string' }
  const { values: o } = parseArgs({
    args: process.argv.slice(3),
    options: { bootstrap: text, 'client-id': text, topic: text, partitions: text, group: text },
  })
  emit({ client: 'kafkajs', version: require('kafkajs/package.json').version })
  const kafka = new Kafka({ clientId: o['client-id'], brokers: [o.bootstrap], logLevel: logLevel.ERROR, logCreator: () => (e) => console.error(JSON.stringify(e)) })
  const words = { create, produce, stream, consume }
  if (!words[word]) throw new Error(`unknown word ${word}`)
  await words[word](kafka, o)
}

main().then(
  () => process.exit(0),
  (err) => {
    console.error(err)
    process.exit(1)
  }
)
