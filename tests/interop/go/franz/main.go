// A franz-go program for the interop tests: `franz COMMAND BOOTSTRAP ARGUMENT...`.
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
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const patience = 60 * time.Second

type document map[string]any

func main() {
	commands := map[string]func(context.Context, string, []string) document{
		"round": round, "group": group, "admin": admin, "limits": limits,
		"transactions": transactions, "process": process, "late": late,
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	shown := commands[os.Args[1]](ctx, os.Args[2], os.Args[3:])
	ok(json.NewEncoder(os.Stdout).Encode(shown))
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

func client(bootstrap string, more ...kgo.Opt) *kgo.Client {
	settings := []kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(50 * time.Millisecond),
		kgo.SessionTimeout(10 * time.Second),
		kgo.HeartbeatInterval(200 * time.Millisecond),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}
	return got(kgo.NewClient(append(settings, more...)...))
}

func send(ctx context.Context, from *kgo.Client, topic string, partitions, first, end int) error {
	var records []*kgo.Record
	for n := first; n < end; n++ {
		records = append(records, &kgo.Record{
			Topic: topic, Partition: int32(n % partitions), Value: []byte(strconv.Itoa(n)),
			Headers: []kgo.RecordHeader{{Key: "n", Value: []byte{byte(n)}}},
		})
	}
	return from.ProduceSync(ctx, records...).FirstErr()
}

// values reads `count` records of partition 0 from `start`, as committed, and says where they lie.
func values(ctx context.Context, bootstrap, topic string, start int64, count int) (found []int, offsets []int64) {
	where := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(start)}}
	reader := client(bootstrap, kgo.ConsumePartitions(where), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer reader.Close()
	for len(found) < count {
		fetches := reader.PollFetches(ctx)
		ok(fetches.Err())
		fetches.EachRecord(func(record *kgo.Record) {
			found = append(found, got(strconv.Atoi(string(record.Value))))
			offsets = append(offsets, record.Offset)
		})
	}
	must(len(found) == count, "%d records, got %d", count, len(found))
	return found, offsets
}

// round: every codec, idempotent as the client's default is, read back from the middle of a batch.
func round(ctx context.Context, bootstrap string, args []string) document {
	codecs := []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	}
	for n, codec := range codecs {
		producer := client(bootstrap, kgo.ProducerBatchCompression(codec))
		ok(send(ctx, producer, args[0], 1, n*1000, (n+1)*1000))
		producer.Close()
	}
	found, offsets := values(ctx, bootstrap, args[0], 17, 5000-17)
	for n := range found {
		must(found[n] == n+17 && offsets[n] == int64(n+17), "%d at %d", n+17, offsets[n])
	}
	return document{"records": len(found) + 17}
}

// group: two members share four partitions, commit and leave; the next go on from the commit.
func group(ctx context.Context, bootstrap string, args []string) document {
	topic, name, kind := args[0], args[1], args[2]
	producer := client(bootstrap)
	defer producer.Close()
	first := share(ctx, bootstrap, topic, name, kind, 400, func() { ok(send(ctx, producer, topic, 4, 0, 400)) })
	second := share(ctx, bootstrap, topic, name, kind, 100, func() { ok(send(ctx, producer, topic, 4, 400, 500)) })
	must(second[0] == 400, "goes on from the commit, got %d", second[0])
	return document{"first": len(first), "second": len(second)}
}

// share fills the topic once each member owns a half, so that nobody reads for another.
func share(ctx context.Context, bootstrap, topic, name, kind string, count int, fill func()) []int {
	members, owned := make([]*kgo.Client, 2), make([]atomic.Int32, 2)
	for n := range members {
		more := []kgo.Opt{
			kgo.ConsumerGroup(name), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) {
				owned[n].Add(int32(len(given[topic])))
			}),
			kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, taken map[string][]int32) {
				owned[n].Add(int32(-len(taken[topic])))
			}),
			kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, taken map[string][]int32) {
				owned[n].Add(int32(-len(taken[topic])))
			}),
		}
		switch kind {
		case "static":
			more = append(more, kgo.Balancers(kgo.RangeBalancer()), kgo.InstanceID(strconv.Itoa(n)))
		case "dynamic":
			more = append(more, kgo.Balancers(kgo.RangeBalancer()))
		case "consumer": // KIP-848, which this version of the client has to be asked for
			asked := context.WithValue(ctx, "opt_in_kafka_next_gen_balancer_beta", true) //nolint:staticcheck
			more = append(more, kgo.WithContext(asked), kgo.Balancers(kgo.RangeBalancer()))
		}
		members[n] = client(bootstrap, more...)
	}
	seen, filled := map[int]bool{}, false
	for len(seen) < count || owned[0].Load() != 2 || owned[1].Load() != 2 {
		if !filled && owned[0].Load() == 2 && owned[1].Load() == 2 {
			fill()
			filled = true
		}
		for _, member := range members {
			short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			member.PollFetches(short).EachRecord(func(record *kgo.Record) {
				seen[got(strconv.Atoi(string(record.Value)))] = true
			})
			cancel()
		}
		must(ctx.Err() == nil, "shared in time: %d values, %d and %d", len(seen), owned[0].Load(), owned[1].Load())
	}
	for _, member := range members {
		ok(member.CommitUncommittedOffsets(ctx))
		if kind == "static" { // it stays a member until told otherwise
			member.LeaveGroup()
		}
		member.Close()
	}
	var found []int
	for value := range seen {
		found = append(found, value)
	}
	sort.Ints(found)
	return found
}

func admin(ctx context.Context, bootstrap string, args []string) document {
	topic := args[0]
	plain := client(bootstrap)
	defer plain.Close()
	tool := kadm.NewClient(plain)
	cluster := got(tool.BrokerMetadata(ctx))
	retention := "3600000"
	ok(got(tool.CreateTopic(ctx, 2, 1, map[string]*string{"retention.ms": &retention}, topic)).Err)
	again, _ := tool.CreateTopic(ctx, 2, 1, nil, topic)
	must(errors.Is(again.Err, kerr.TopicAlreadyExists), "a second creation is refused, got %v", again.Err)
	ok(got(tool.UpdatePartitions(ctx, 3, topic)).Error())
	ok(send(ctx, plain, topic, 1, 0, 10))
	size := "4096"
	altered := got(tool.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "max.message.bytes", Value: &size}}, topic))
	ok(altered[0].Err)
	config := got(got(tool.DescribeTopicConfigs(ctx, topic)).On(topic, nil))
	shown := document{}
	for _, one := range config.Configs {
		if one.Key == "max.message.bytes" || one.Key == "retention.ms" {
			shown[one.Key] = one.MaybeValue()
		}
	}
	ok(got(tool.DeleteRecords(ctx, kadm.Offsets{topic: {0: {Topic: topic, At: 4}}})).Error())
	start, _ := got(tool.ListStartOffsets(ctx, topic)).Lookup(topic, 0)
	end, _ := got(tool.ListEndOffsets(ctx, topic)).Lookup(topic, 0)
	shown["start"], shown["end"] = start.Offset, end.Offset
	shown["partitions"] = len(got(tool.ListTopics(ctx, topic))[topic].Partitions)
	shown["committed"] = committed(ctx, tool, topic)
	ok(got(tool.DeleteTopics(ctx, topic)).Error())
	for got(tool.ListTopics(ctx)).Has(topic) {
		must(ctx.Err() == nil, "a deleted topic is no longer listed")
	}
	shown["nodes"], shown["named"] = len(cluster.Brokers), cluster.Cluster != ""
	return shown
}

// committed: offsets of a group without members are set, read, and deleted with it.
func committed(ctx context.Context, tool *kadm.Client, topic string) int64 {
	name := topic + "-group"
	ok(tool.CommitAllOffsets(ctx, name, kadm.Offsets{topic: {0: {Topic: topic, At: 6, LeaderEpoch: -1}}}))
	read, _ := got(tool.FetchOffsets(ctx, name)).Lookup(topic, 0)
	state := got(tool.DescribeGroups(ctx, name))[name].State
	must(state == "Empty", "a group with offsets only is Empty, got %s", state)
	must(got(tool.ListGroups(ctx)).Groups() != nil, "groups are listed")
	ok(got(tool.DeleteGroup(ctx, name)).Err)
	return read.At
}

func limits(ctx context.Context, bootstrap string, args []string) document {
	producer := client(bootstrap, kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer producer.Close()
	large := kgo.Record{Topic: args[0], Value: make([]byte, 30_000)}
	refused := producer.ProduceSync(ctx, &large).FirstErr()
	must(errors.Is(refused, kerr.MessageTooLarge), "too large, got %v", refused)
	small := kgo.Record{Topic: args[0], Value: []byte("fits")}
	ok(producer.ProduceSync(ctx, &small).FirstErr())
	return document{"next": small.Offset}
}

// transactions: commit, abort, commit, abort; then a zombie, which its successor fences.
func transactions(ctx context.Context, bootstrap string, args []string) document {
	topic, name := args[0], args[1]
	zombie := client(bootstrap, kgo.TransactionalID(name))
	defer zombie.Close()
	for n := range 4 {
		ok(zombie.BeginTransaction())
		ok(send(ctx, zombie, topic, 1, n*100, (n+1)*100))
		ok(zombie.EndTransaction(ctx, kgo.TransactionEndTry(n%2 == 0)))
	}
	ok(zombie.BeginTransaction())
	ok(send(ctx, zombie, topic, 1, -1, 0))
	successor := client(bootstrap, kgo.TransactionalID(name))
	defer successor.Close()
	for { // it is told to wait until the broker has aborted for the zombie
		_, _, err := successor.ProducerID(ctx)
		if !errors.Is(err, kerr.ConcurrentTransactions) {
			break
		}
	}
	ok(successor.BeginTransaction())
	ok(send(ctx, successor, topic, 1, 1000, 1001))
	fenced := zombie.EndTransaction(ctx, kgo.TryCommit)
	must(errors.Is(fenced, kerr.ProducerFenced) || errors.Is(fenced, kerr.InvalidProducerEpoch), "fenced, got %v", fenced)
	ok(successor.EndTransaction(ctx, kgo.TryCommit))
	found, _ := values(ctx, bootstrap, topic, 0, 201)
	must(found[100] == 200 && found[200] == 1000, "the committed ones, got %d and %d", found[100], found[200])
	return document{"records": len(found)}
}

// process: offsets go with the records; what is aborted is processed again.
func process(ctx context.Context, bootstrap string, args []string) document {
	source, sink, name := args[0], args[1], args[2]
	feeder := client(bootstrap)
	ok(send(ctx, feeder, source, 1, 0, 50))
	feeder.Close()
	aborted, done := false, 0
	session := got(kgo.NewGroupTransactSession(
		kgo.SeedBrokers(bootstrap), kgo.TransactionalID(name), kgo.ConsumerGroup(name), kgo.ConsumeTopics(source),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(50*time.Millisecond), kgo.RequireStableFetchOffsets(),
	))
	defer session.Close()
	for done < 50 {
		fetches := session.PollRecords(ctx, 10)
		ok(fetches.Err())
		ok(session.Begin())
		fetches.EachRecord(func(record *kgo.Record) {
			ok(session.ProduceSync(ctx, &kgo.Record{Topic: sink, Value: record.Value}).FirstErr())
		})
		if !aborted && done >= 20 {
			aborted = true
			got(session.End(ctx, kgo.TryAbort))
			continue
		}
		if got(session.End(ctx, kgo.TryCommit)) {
			done += fetches.NumRecords()
		}
	}
	found, _ := values(ctx, bootstrap, sink, 0, 50)
	for n, value := range found {
		must(value == n, "each once and in order: %d at %d", value, n)
	}
	return document{"records": len(found), "aborted": aborted}
}

// late: a transaction that its owner forgets is aborted by the broker, and the owner is told.
func late(ctx context.Context, bootstrap string, args []string) document {
	topic, name := args[0], args[1]
	producer := client(bootstrap, kgo.TransactionalID(name), kgo.TransactionTimeout(3*time.Second))
	defer producer.Close()
	ok(producer.BeginTransaction())
	ok(send(ctx, producer, topic, 1, 0, 1))
	plain := client(bootstrap)
	defer plain.Close()
	tool := kadm.NewClient(plain)
	for {
		end, _ := got(tool.ListCommittedOffsets(ctx, topic)).Lookup(topic, 0)
		if end.Offset == 2 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	refused := producer.EndTransaction(ctx, kgo.TryCommit)
	must(refused != nil, "the commit of what was aborted is refused")
	return document{"refused": true}
}
