// A sarama program for the interop tests: `sarama COMMAND BOOTSTRAP ARGUMENT...`.
// Prints one JSON document; any failure ends it with exit code 1.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const (
	patience = 60 * time.Second
	pause    = 100 * time.Millisecond
)

type document map[string]any

func main() {
	commands := map[string]func(string, []string) document{
		"round": round, "group": group, "admin": admin, "limits": limits,
		"transactions": transactions, "process": process, "late": late,
	}
	time.AfterFunc(3*patience, func() { must(false, "done in time") })
	ok(json.NewEncoder(os.Stdout).Encode(commands[os.Args[1]](os.Args[2], os.Args[3:])))
}

func must(holds bool, what string, values ...any) {
	if !holds {
		fmt.Fprintf(os.Stderr, "must hold: "+what+"\n", values...)
		os.Exit(1)
	}
}

func ok(err error) { must(err == nil, "no error, got %v", err) }

func got[T any](value T, err error) T {
	ok(err)
	return value
}

// settings: the newest protocol that the client has, and an idempotent producer.
func settings() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	// By default it gives up after 0.3 s, and after 1 s where the markers of its last transaction are
	// still being written; other clients go on for two minutes.
	config.Producer.Retry.Max = int(patience / pause)
	config.Producer.Retry.Backoff = pause
	config.Producer.Transaction.Retry.Max = int(patience / pause)
	config.Producer.Transaction.Retry.BackoffFunc = func(int, int) time.Duration { return pause }
	config.Consumer.MaxWaitTime = 50 * time.Millisecond
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	return config
}

func transactional(bootstrap, name string, timeout time.Duration) (sarama.SyncProducer, error) {
	config := settings()
	config.Producer.Transaction.ID = name
	config.Producer.Transaction.Timeout = timeout
	return sarama.NewSyncProducer([]string{bootstrap}, config)
}

// send: a transaction that the client can only abort is begun again, as its users have to do.
func send(producer sarama.SyncProducer, topic string, partitions, first, end int) error {
	err := producer.SendMessages(messages(topic, partitions, first, end))
	for err != nil && producer.TxnStatus()&sarama.ProducerTxnFlagAbortableError != 0 {
		ok(producer.AbortTxn())
		ok(producer.BeginTxn())
		err = producer.SendMessages(messages(topic, partitions, first, end))
	}
	return told(err)
}

func messages(topic string, partitions, first, end int) (all []*sarama.ProducerMessage) {
	for n := first; n < end; n++ {
		all = append(all, &sarama.ProducerMessage{
			Topic: topic, Partition: int32(n % partitions), Value: sarama.StringEncoder(strconv.Itoa(n)),
			Headers: []sarama.RecordHeader{{Key: []byte("n"), Value: []byte{byte(n)}}},
		})
	}
	return all
}

// told: what the client's error hides, which says only how many messages were not delivered.
func told(err error) error {
	var failed sarama.ProducerErrors
	if !errors.As(err, &failed) {
		return err
	}
	causes := []error{err}
	for _, one := range failed {
		causes = append(causes, one.Err)
	}
	return errors.Join(causes...)
}

// values reads `count` records of partition 0 from `start`, as committed, and says where they lie.
func values(bootstrap, topic string, start int64, count int) (found []int, offsets []int64) {
	consumer := got(sarama.NewConsumer([]string{bootstrap}, settings()))
	defer consumer.Close()
	partition := got(consumer.ConsumePartition(topic, 0, start))
	for len(found) < count {
		select {
		case message := <-partition.Messages():
			found = append(found, got(strconv.Atoi(string(message.Value))))
			offsets = append(offsets, message.Offset)
		case <-time.After(patience):
			must(false, "%d records in time, got %d", count, len(found))
		}
	}
	ok(partition.Close())
	return found, offsets
}

// round: every codec, idempotent, read back from the middle of a batch.
func round(bootstrap string, args []string) document {
	codecs := []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
	}
	for n, codec := range codecs {
		config := settings()
		config.Producer.Compression = codec
		producer := got(sarama.NewSyncProducer([]string{bootstrap}, config))
		ok(send(producer, args[0], 1, n*1000, (n+1)*1000))
		ok(producer.Close())
	}
	found, offsets := values(bootstrap, args[0], 17, 5000-17)
	for n := range found {
		must(found[n] == n+17 && offsets[n] == int64(n+17), "%d at %d", n+17, offsets[n])
	}
	return document{"records": len(found) + 17}
}

// member collects what two members of a group read and how many partitions each owns.
type member struct {
	group *shared
	index int
}

type shared struct {
	sync.Mutex
	owned [2]int
	seen  map[int]bool
}

func (m member) Setup(session sarama.ConsumerGroupSession) error {
	m.group.Lock()
	defer m.group.Unlock()
	for _, claims := range session.Claims() {
		m.group.owned[m.index] = len(claims)
	}
	return nil
}

func (m member) Cleanup(sarama.ConsumerGroupSession) error {
	m.group.Lock()
	defer m.group.Unlock()
	m.group.owned[m.index] = 0
	return nil
}

func (m member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		m.group.Lock()
		m.group.seen[got(strconv.Atoi(string(message.Value)))] = true
		m.group.Unlock()
		session.MarkMessage(message, "")
		session.Commit()
	}
	return nil
}

// group: two members share four partitions, commit and leave; the next go on from the commit.
func group(bootstrap string, args []string) document {
	topic, name, kind := args[0], args[1], args[2]
	producer := got(sarama.NewSyncProducer([]string{bootstrap}, settings()))
	ok(send(producer, topic, 4, 0, 400))
	first := share(bootstrap, topic, name, kind, 400)
	ok(send(producer, topic, 4, 400, 500))
	second := share(bootstrap, topic, name, kind, 100)
	must(second[0] == 400, "goes on from the commit, got %d", second[0])
	ok(producer.Close())
	return document{"first": len(first), "second": len(second)}
}

func share(bootstrap, topic, name, kind string, count int) []int {
	all := &shared{seen: map[int]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var members []sarama.ConsumerGroup
	for n := range 2 {
		config := settings()
		if kind == "static" {
			config.Consumer.Group.InstanceId = strconv.Itoa(n)
		}
		one := got(sarama.NewConsumerGroup([]string{bootstrap}, name, config))
		members = append(members, one)
		running.Add(1)
		go func() {
			defer running.Done()
			for ctx.Err() == nil {
				ok(one.Consume(ctx, []string{topic}, member{all, n}))
			}
		}()
	}
	done := func() bool {
		all.Lock()
		defer all.Unlock()
		return len(all.seen) >= count && all.owned == [2]int{2, 2}
	}
	for !done() {
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	running.Wait()
	for _, one := range members {
		ok(one.Close())
	}
	if kind == "static" { // they stay members until somebody says that they are gone
		removed(bootstrap, name)
	}
	var found []int
	for value := range all.seen {
		found = append(found, value)
	}
	sort.Ints(found)
	return found
}

func removed(bootstrap, name string) {
	tool := got(sarama.NewClusterAdmin([]string{bootstrap}, settings()))
	for _, instance := range []string{"0", "1"} {
		left := got(tool.RemoveMemberFromConsumerGroup(name, []string{instance}))
		must(left.Err == sarama.ErrNoError, "%s is removed, got %v", instance, left.Err)
	}
	ok(tool.Close())
}

func admin(bootstrap string, args []string) document {
	topic := args[0]
	client := got(sarama.NewClient([]string{bootstrap}, settings()))
	tool := got(sarama.NewClusterAdminFromClient(client))
	brokers, _, err := tool.DescribeCluster()
	ok(err)
	retention, size := "3600000", "4096"
	detail := &sarama.TopicDetail{
		NumPartitions: 2, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &retention},
	}
	ok(tool.CreateTopic(topic, detail, false))
	again := tool.CreateTopic(topic, detail, false)
	must(errors.Is(again, sarama.ErrTopicAlreadyExists), "a second creation is refused, got %v", again)
	ok(tool.CreatePartitions(topic, 3, nil, false))
	producer := got(sarama.NewSyncProducer([]string{bootstrap}, settings()))
	ok(send(producer, topic, 1, 0, 10))
	ok(producer.Close())
	change := map[string]sarama.IncrementalAlterConfigsEntry{
		"max.message.bytes": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &size},
	}
	ok(tool.IncrementalAlterConfig(sarama.TopicResource, topic, change, false))
	shown := document{}
	wanted := sarama.ConfigResource{
		Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"max.message.bytes", "retention.ms"},
	}
	for _, one := range got(tool.DescribeConfig(wanted)) {
		shown[one.Name] = one.Value
	}
	ok(tool.DeleteRecords(topic, map[int32]int64{0: 4}))
	shown["start"] = got(client.GetOffset(topic, 0, sarama.OffsetOldest))
	shown["end"] = got(client.GetOffset(topic, 0, sarama.OffsetNewest))
	shown["partitions"] = len(got(tool.DescribeTopics([]string{topic}))[0].Partitions)
	shown["committed"] = committed(client, tool, topic)
	ok(tool.DeleteTopic(topic))
	for {
		if _, there := got(tool.ListTopics())[topic]; !there {
			break
		}
	}
	shown["nodes"], shown["named"] = len(brokers), true // the client does not show the cluster's id
	return shown
}

// committed: offsets of a group without members are set, read, and deleted with it.
func committed(client sarama.Client, tool sarama.ClusterAdmin, topic string) int64 {
	name := topic + "-group"
	offsets := got(sarama.NewOffsetManagerFromClient(name, client))
	partition := got(offsets.ManagePartition(topic, 0))
	partition.MarkOffset(6, "note")
	offsets.Commit()
	partition.AsyncClose()
	ok(offsets.Close())
	read := got(tool.ListConsumerGroupOffsets(name, map[string][]int32{topic: {0}})).GetBlock(topic, 0)
	must(read.Metadata == "note", "metadata comes back, got %q", read.Metadata)
	state := got(tool.DescribeConsumerGroups([]string{name}))[0].State
	must(state == "Empty", "a group with offsets only is Empty, got %s", state)
	_, listed := got(tool.ListConsumerGroups())[name]
	must(listed, "the group is listed")
	ok(tool.DeleteConsumerGroup(name))
	return read.Offset
}

func limits(bootstrap string, args []string) document {
	producer := got(sarama.NewSyncProducer([]string{bootstrap}, settings()))
	large := &sarama.ProducerMessage{Topic: args[0], Value: sarama.ByteEncoder(make([]byte, 30_000))}
	_, _, refused := producer.SendMessage(large)
	must(errors.Is(refused, sarama.ErrMessageSizeTooLarge), "too large, got %v", refused)
	_, next, err := producer.SendMessage(&sarama.ProducerMessage{Topic: args[0], Value: sarama.StringEncoder("fits")})
	ok(err)
	ok(producer.Close())
	return document{"next": next}
}

// transactions: commit, abort, commit, abort; then a zombie, which its successor fences.
func transactions(bootstrap string, args []string) document {
	topic, name := args[0], args[1]
	zombie := got(transactional(bootstrap, name, patience))
	for n := range 4 {
		ok(zombie.BeginTxn())
		ok(send(zombie, topic, 1, n*100, (n+1)*100))
		if n%2 == 0 {
			ok(zombie.CommitTxn())
		} else {
			ok(zombie.AbortTxn())
		}
	}
	ok(zombie.BeginTxn())
	ok(send(zombie, topic, 1, -1, 0))
	successor, err := transactional(bootstrap, name, patience)
	for errors.Is(err, sarama.ErrConcurrentTransactions) { // until the broker has aborted for the zombie
		successor, err = transactional(bootstrap, name, patience)
	}
	ok(err)
	ok(successor.BeginTxn())
	ok(send(successor, topic, 1, 1000, 1001))
	fenced := zombie.CommitTxn()
	must(fenced != nil && zombie.TxnStatus()&sarama.ProducerTxnFlagFatalError != 0, "fenced for good, got %v", fenced)
	ok(successor.CommitTxn())
	found, _ := values(bootstrap, topic, 0, 201)
	must(found[100] == 200 && found[200] == 1000, "the committed ones, got %d and %d", found[100], found[200])
	return document{"records": len(found)}
}

// process: offsets go with the records; what is aborted is processed again.
func process(bootstrap string, args []string) document {
	source, sink, name := args[0], args[1], args[2]
	feeder := got(sarama.NewSyncProducer([]string{bootstrap}, settings()))
	ok(send(feeder, source, 1, 0, 50))
	ok(feeder.Close())
	producer := got(transactional(bootstrap, name, patience))
	tool := got(sarama.NewClusterAdmin([]string{bootstrap}, settings()))
	aborted, from := false, int64(0)
	for from < 50 {
		batch, offsets := values(bootstrap, source, from, int(50-from))
		ok(producer.BeginTxn())
		ok(send(producer, sink, 1, batch[0], batch[9]+1))
		where := map[string][]*sarama.PartitionOffsetMetadata{source: {{Partition: 0, Offset: offsets[9] + 1}}}
		ok(producer.AddOffsetsToTxn(where, name))
		if !aborted && from >= 20 {
			aborted = true
			ok(producer.AbortTxn())
			continue
		}
		ok(producer.CommitTxn())
		from += 10
	}
	wanted := map[string][]int32{source: {0}}
	for got(tool.ListConsumerGroupOffsets(name, wanted)).GetBlock(source, 0).Offset != 50 {
		time.Sleep(10 * time.Millisecond) // the commit is decided before it is seen everywhere
	}
	found, _ := values(bootstrap, sink, 0, 50)
	for n, value := range found {
		must(value == n, "each once and in order: %d at %d", value, n)
	}
	return document{"records": len(found), "aborted": aborted}
}

// late: a transaction that its owner forgets is aborted by the broker, and the owner is told.
func late(bootstrap string, args []string) document {
	topic, name := args[0], args[1]
	producer := got(transactional(bootstrap, name, 3*time.Second))
	ok(producer.BeginTxn())
	ok(send(producer, topic, 1, 0, 1))
	client := got(sarama.NewClient([]string{bootstrap}, settings()))
	for got(client.GetOffset(topic, 0, sarama.OffsetNewest)) != 2 {
		time.Sleep(50 * time.Millisecond)
	}
	must(producer.CommitTxn() != nil, "the commit of what was aborted is refused")
	return document{"refused": true}
}
