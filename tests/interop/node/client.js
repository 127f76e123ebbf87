// A kafkajs program for the interop tests: `node client.js COMMAND BOOTSTRAP ARGUMENT...`.
// Prints one JSON document a line; any failure ends it with exit code 1.
'use strict'

const assert = require('node:assert')
const { randomUUID } = require('node:crypto')
const { CompressionTypes, Kafka, KafkaJSProtocolError, logLevel } = require('kafkajs')

const PATIENCE_MS = 60_000

function kafka(bootstrap) {
  return new Kafka({ clientId: 'interop', brokers: [bootstrap], logLevel: logLevel.ERROR })
}

async function eventually(what, probe) {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await probe())) {
    assert(Date.now() < deadline, `not in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function produce(client, topic, from, to, options = {}) {
  const { idempotent = false, ...how } = options
  const producer = client.producer({ idempotent, maxInFlightRequests: idempotent ? 1 : undefined })
  await producer.connect()
  const numbers = Array.from({ length: to - from }, (_, n) => from + n)
  const messages = numbers.map((n) => ({ key: `k${n}`, value: `${n}`, headers: { n: `${n}` } }))
  await producer.send({ topic, messages, acks: -1, ...how })
  await producer.disconnect()
}

// -- commands ------------------------------------------------------------------------------------

async function round(client, topic) {
  await produce(client, topic, 0, 500)
  await produce(client, topic, 500, 1000, { compression: CompressionTypes.GZIP })
  await produce(client, topic, 1000, 1500, { idempotent: true })
  const nulls = client.producer()
  await nulls.connect()
  await nulls.send({ topic, messages: [{ key: 'gone', value: null, timestamp: '1500000000123' }] })
  await nulls.disconnect()
  const consumer = client.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 50 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const seen = []
  await consumer.run({ eachMessage: async ({ message }) => void seen.push(message) })
  await eventually('1501 messages', () => seen.length >= 1501)
  await consumer.disconnect()
  seen.slice(0, 1500).forEach((message, n) => {
    assert.strictEqual(message.offset, `${n}`)
    assert.strictEqual(message.value.toString(), `${n}`)
    assert.strictEqual(message.headers.n.toString(), `${n}`)
  })
  assert.strictEqual(seen[1500].value, null)
  assert.strictEqual(seen[1500].timestamp, '1500000000123')
  return { records: seen.length }
}

async function share(client, topic, groupId, count) {
  const numbers = new Set()
  const owned = { a: 0, b: 0 }
  const members = []
  for (const name of ['a', 'b']) {
    const member = client.consumer({
      groupId, heartbeatInterval: 200, sessionTimeout: 10_000, maxWaitTimeInMs: 50,
    })
    member.on(member.events.GROUP_JOIN, ({ payload }) => {
      owned[name] = (payload.memberAssignment[topic] || []).length
    })
    await member.connect()
    await member.subscribe({ topic, fromBeginning: true })
    await member.run({
      autoCommitThreshold: 1,
      eachMessage: async ({ message }) => void numbers.add(Number(message.value)),
    })
    members.push(member)
  }
  await eventually('both own two of four partitions', () => owned.a === 2 && owned.b === 2)
  await eventually(`${count} messages`, () => numbers.size >= count)
  for (const member of members) await member.disconnect()
  return [...numbers].sort((a, b) => a - b)
}

async function group(client, topic, groupId) {
  await produce(client, topic, 0, 400)
  const first = await share(client, topic, groupId, 400)
  await produce(client, topic, 400, 500)
  const second = await share(client, topic, groupId, 100)
  assert.strictEqual(second[0], 400, 'goes on from the commit')
  return { first: first.length, second: second.length }
}

async function admin(client, topic) {
  const admin = client.admin()
  await admin.connect()
  const { brokers, clusterId } = await admin.describeCluster()
  assert(await admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: true }))
  assert.strictEqual(await admin.createTopics({ topics: [{ topic }] }), false, 'exists already')
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  const [{ low, high }] = await admin.fetchTopicOffsets(topic)
  await admin.deleteTopics({ topics: [topic] })
  await eventually('the topic is gone', async () => !(await admin.listTopics()).includes(topic))
  await admin.disconnect()
  return { cluster: clusterId, nodes: brokers.length, partitions: topics[0].partitions.length, low, high }
}

async function limits(client, topic) {
  const producer = client.producer()
  await producer.connect()
  const large = { topic, messages: [{ value: 'x'.repeat(30_000) }] }
  await assert.rejects(producer.send(large), (error) => {
    assert(error instanceof KafkaJSProtocolError, error)
    assert.strictEqual(error.type, 'MESSAGE_TOO_LARGE')
    return true
  })
  const [{ baseOffset }] = await producer.send({ topic, messages: [{ value: 'fits' }] })
  await producer.disconnect()
  return { next: Number(baseOffset) }
}

async function times(client, topic) {
  const producer = client.producer()
  await producer.connect()
  for (let n = 0; n < 20; n++) {
    await producer.send({ topic, messages: [{ value: 'v', timestamp: `${1_600_000_000_000 + 10 * n}` }] })
  }
  await producer.disconnect()
  const admin = client.admin()
  await admin.connect()
  const [{ offset }] = await admin.fetchTopicOffsetsByTimestamp(topic, 1_600_000_000_031)
  const [{ low, high }] = await admin.fetchTopicOffsets(topic)
  const groupId = randomUUID()
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '5' }] })
  const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
  await admin.disconnect()
  return { offset, low, high, committed: partitions[0].offset }
}

const COMMANDS = { admin, group, limits, round, times }

const [command, bootstrap, ...rest] = process.argv.slice(2)
COMMANDS[command](kafka(bootstrap), ...rest).then(
  (document) => console.log(JSON.stringify(document)),
  (error) => {
    console.error(error)
    process.exit(1)
  },
)
