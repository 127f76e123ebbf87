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

function transactional(client, transactionalId, transactionTimeout = PATIENCE_MS) {
  return client.producer({ transactionalId, transactionTimeout, idempotent: true, maxInFlightRequests: 1 })
}

// Commit, abort, offsets with the records; then a zombie, which its successor fences.
async function transactions(client, topic, name) {
  const zombie = transactional(client, name)
  await zombie.connect()
  for (let number = 0; number < 4; number++) {
    const transaction = await zombie.transaction()
    const messages = Array.from({ length: 100 }, (_, n) => ({ value: `${number * 100 + n}` }))
    await transaction.send({ topic, messages })
    const partitions = [{ partition: 0, offset: `${number}` }]
    await transaction.sendOffsets({ consumerGroupId: name, topics: [{ topic, partitions }] })
    await (number % 2 === 0 ? transaction.commit() : transaction.abort())
  }
  const open = await zombie.transaction()
  await open.send({ topic, messages: [{ value: '-1' }] })
  const successor = transactional(client, name)
  await successor.connect()
  const transaction = await successor.transaction()
  await transaction.send({ topic, messages: [{ value: '1000' }] })
  await assert.rejects(open.commit(), (error) => {
    assert(['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED'].includes(error.type), error)
    return true
  })
  await transaction.commit()
  await zombie.disconnect()
  await successor.disconnect()
  const values = await committed(client, topic, 201)
  assert.strictEqual(values[100], '200', 'the third transaction follows the first')
  assert.strictEqual(values[200], '1000', "and the successor's follows that")
  const admin = client.admin()
  await admin.connect()
  const [{ partitions }] = await admin.fetchOffsets({ groupId: name, topics: [topic] })
  await admin.disconnect()
  return { records: values.length, committed: partitions[0].offset }
}

async function committed(client, topic, count) {
  const consumer = client.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 50 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const values = []
  await consumer.run({ eachMessage: async ({ message }) => void values.push(message.value.toString()) })
  await eventually(`${count} committed messages`, () => values.length >= count)
  await consumer.disconnect()
  return values
}

// A transaction that its owner forgets is aborted by the broker, and the owner is told.
async function late(client, topic, name) {
  const producer = transactional(client, name, 3_000)
  await producer.connect()
  const transaction = await producer.transaction()
  await transaction.send({ topic, messages: [{ value: 'late' }] })
  const admin = client.admin()
  await admin.connect()
  await eventually('the abort', async () => (await admin.fetchTopicOffsets(topic))[0].high === '2')
  await admin.disconnect()
  await assert.rejects(transaction.commit())
  await producer.disconnect()
  return { refused: true }
}

const COMMANDS = { admin, group, late, limits, round, times, transactions }

const [command, bootstrap, ...rest] = process.argv.slice(2)
COMMANDS[command](kafka(bootstrap), ...rest).then(
  (document) => console.log(JSON.stringify(document)),
  (error) => {
    console.error(error)
    process.exit(1)
  },
)
