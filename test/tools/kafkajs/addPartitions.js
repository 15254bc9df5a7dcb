#!/usr/bin/env node
// Replaces scripts/addPartitions.sh, which runs kafka-topics in a container:
// raises the number of TOPIC's partitions to PARTITIONS.
const { Kafka, logLevel } = require('../index')

const main = async () => {
  const kafka = new Kafka({ brokers: process.env.KAFKA_BROKERS.split(','), logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  try {
    const count = Number(process.env.PARTITIONS)
    await admin.createPartitions({ topicPartitions: [{ topic: process.env.TOPIC, count }] })
  } finally {
    await admin.disconnect()
  }
}

main().catch(e => {
  console.error(e)
  process.exit(1)
})
