// A client program for the interop tests: `java -cp jars Client.java COMMAND BOOTSTRAP ARGUMENT...`;
// with `-Dclient.properties=FILE` every client has the settings of that file, too.
// Prints one JSON document a line on standard output; any failure is an exception, hence exit code 1.
// One source for every kafka-clients version from 2.8 to 4.x, so it keeps to what all of them have.

import java.io.IOException;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.DescribeTopicsResult;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Client {
    static final Duration PATIENCE = Duration.ofSeconds(60);

    public static void main(String[] args) throws Exception {
        String bootstrap = args[1];
        List<String> rest = Arrays.asList(args).subList(2, args.length);
        switch (args[0]) {
            case "round" -> round(bootstrap, rest.get(0));
            case "produce" -> produce(bootstrap, rest.get(0), 0, Integer.parseInt(rest.get(1)), "none");
            case "group" -> group(bootstrap, rest.get(0), rest.get(1), rest.get(2));
            case "admin" -> admin(bootstrap, rest.get(0));
            case "limits" -> limits(bootstrap, rest.get(0));
            case "times" -> times(bootstrap, rest.get(0));
            case "transactions" -> transactions(bootstrap, rest.get(0), rest.get(1));
            case "late" -> late(bootstrap, rest.get(0), rest.get(1));
            default -> throw new IllegalArgumentException("unknown command " + args[0]);
        }
    }

    // -- produce and read back ---------------------------------------------------------------

    /** Every codec, idempotent as the client's default is, into one partition, and read back. */
    static void round(String bootstrap, String topic) throws Exception {
        List<String> codecs = List.of("none", "gzip", "snappy", "lz4", "zstd");
        int from = 0;
        for (String codec : codecs) {
            produce(bootstrap, topic, from, from + 1000, codec);
            from += 1000;
        }
        fields(bootstrap, topic);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap, Map.of())) {
            TopicPartition partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            consumer.seek(partition, 17); // in the middle of a batch
            List<ConsumerRecord<byte[], byte[]>> records = poll(consumer, from + 1 - 17);
            for (int n = 17; n < from; n++) {
                ConsumerRecord<byte[], byte[]> record = records.get(n - 17);
                must(record.offset() == n, "offset " + record.offset() + " for " + n);
                must(number(record.value()) == n, "value " + number(record.value()) + " at " + n);
            }
            ConsumerRecord<byte[], byte[]> last = records.get(from - 17);
            must(last.value() == null, "a null value comes back as null");
            must(last.timestamp() == 1_500_000_000_123L, "timestamp " + last.timestamp());
            Header[] headers = last.headers().toArray();
            must(headers.length == 2 && headers[1].value() == null, "headers " + Arrays.toString(headers));
        }
        System.out.println("{\"records\": " + (from + 1) + "}");
    }

    static void fields(String bootstrap, String topic) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(bootstrap, Map.of())) {
            List<Header> headers = List.of(
                new RecordHeader("trace", new byte[] {0, -1}), new RecordHeader("none", (byte[]) null));
            producer.send(new ProducerRecord<>(topic, 0, 1_500_000_000_123L, bytes("k"), null, headers))
                .get(60, TimeUnit.SECONDS);
        }
    }

    static void produce(String bootstrap, String topic, int from, int to, String codec) throws Exception {
        Map<String, Object> how = Map.of("compression.type", codec, "linger.ms", 5);
        try (KafkaProducer<byte[], byte[]> producer = producer(bootstrap, how)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int n = from; n < to; n++) {
                sent.add(producer.send(new ProducerRecord<>(topic, bytes(String.valueOf(n)))));
            }
            for (Future<RecordMetadata> one : sent) {
                must(one.get(60, TimeUnit.SECONDS).hasOffset(), "an acknowledged record has an offset");
            }
        }
        System.out.println("{\"produced\": " + (to - from) + ", \"codec\": \"" + codec + "\"}");
    }

    // -- groups ------------------------------------------------------------------------------

    /** Two members share four partitions, commit and leave; the next go on from the commit. */
    static void group(String bootstrap, String topic, String group, String kind) throws Exception {
        List<KafkaConsumer<byte[], byte[]>> members = members(bootstrap, topic, group, kind);
        Set<Integer> first = new TreeSet<>();
        pollUntil(members, first, 0); // shared before the first record: nobody reads for another
        produce(bootstrap, topic, 0, 400, "none");
        pollUntil(members, first, 400);
        leave(members);
        produce(bootstrap, topic, 400, 500, "none");
        Set<Integer> second = new TreeSet<>();
        List<KafkaConsumer<byte[], byte[]>> again = members(bootstrap, topic, group, kind);
        pollUntil(again, second, 100);
        leave(again);
        must(first.size() == 400, "all of the first 400, got " + first.size());
        must(second.size() == 100 && Collections.min(second) == 400, "only the new ones: " + second);
        System.out.println("{\"first\": " + first.size() + ", \"second\": " + second.size() + "}");
    }

    static List<KafkaConsumer<byte[], byte[]>> members(
            String bootstrap, String topic, String group, String kind) {
        List<KafkaConsumer<byte[], byte[]>> members = new ArrayList<>();
        for (String name : List.of("a", "b")) {
            Map<String, Object> how = new HashMap<>();
            how.put("group.id", group);
            if (kind.equals("static")) how.put("group.instance.id", name);
            if (kind.equals("consumer")) how.put("group.protocol", "consumer"); // KIP-848
            if (kind.equals("cooperative")) {
                how.put("partition.assignment.strategy",
                    "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
            }
            KafkaConsumer<byte[], byte[]> member = consumer(bootstrap, how);
            member.subscribe(List.of(topic));
            members.add(member);
        }
        return members;
    }

    /** Poll in turns until each of the two owns two partitions and `count` values have come. */
    static void pollUntil(
            List<KafkaConsumer<byte[], byte[]>> members, Set<Integer> values, int count) {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        int[] owned = {0, 0};
        while (values.size() < count || owned[0] != 2 || owned[1] != 2) {
            must(System.nanoTime() < deadline,
                "shared and drained in time: " + Arrays.toString(owned) + ", " + values.size());
            for (int m = 0; m < 2; m++) {
                for (ConsumerRecord<byte[], byte[]> record : members.get(m).poll(Duration.ofMillis(100))) {
                    values.add(number(record.value()));
                }
                owned[m] = members.get(m).assignment().size();
            }
        }
    }

    static void leave(List<KafkaConsumer<byte[], byte[]>> members) {
        for (KafkaConsumer<byte[], byte[]> member : members) {
            member.commitSync(PATIENCE);
            member.close(Duration.ofSeconds(20));
        }
    }

    // -- admin, limits, times ----------------------------------------------------------------

    static void admin(String bootstrap, String topic) throws Exception {
        try (Admin admin = Admin.create(common(bootstrap))) {
            DescribeClusterResult cluster = admin.describeCluster();
            String id = cluster.clusterId().get(60, TimeUnit.SECONDS);
            int nodes = cluster.nodes().get(60, TimeUnit.SECONDS).size();
            NewTopic wanted = new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "3600000"));
            admin.createTopics(List.of(wanted)).all().get(60, TimeUnit.SECONDS);
            try {
                admin.createTopics(List.of(wanted)).all().get(60, TimeUnit.SECONDS);
                must(false, "a second creation is refused");
            } catch (ExecutionException refused) {
                must(refused.getCause() instanceof TopicExistsException, "refused as existing: " + refused);
            }
            int partitions = described(admin, topic).partitions().size();
            must(admin.listTopics().names().get(60, TimeUnit.SECONDS).contains(topic), "it is listed");
            admin.deleteTopics(List.of(topic)).all().get(60, TimeUnit.SECONDS);
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            while (admin.listTopics().names().get(60, TimeUnit.SECONDS).contains(topic)) {
                must(System.nanoTime() < deadline, "a deleted topic is no longer listed");
            }
            System.out.println("{\"cluster\": \"" + id + "\", \"nodes\": " + nodes
                + ", \"partitions\": " + partitions + "}");
        }
    }

    /** The accessor was renamed in 3.1 and the old name removed in 4.0. */
    @SuppressWarnings("unchecked")
    static TopicDescription described(Admin admin, String topic) throws Exception {
        DescribeTopicsResult result = admin.describeTopics(List.of(topic));
        Method accessor;
        try {
            accessor = DescribeTopicsResult.class.getMethod("topicNameValues");
        } catch (NoSuchMethodException old) {
            accessor = DescribeTopicsResult.class.getMethod("values");
        }
        Map<String, Future<TopicDescription>> futures =
            (Map<String, Future<TopicDescription>>) accessor.invoke(result);
        return futures.get(topic).get(60, TimeUnit.SECONDS);
    }

    static void limits(String bootstrap, String topic) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(bootstrap, Map.of())) {
            producer.send(new ProducerRecord<>(topic, new byte[19_000])).get(60, TimeUnit.SECONDS);
            try {
                producer.send(new ProducerRecord<>(topic, new byte[30_000])).get(60, TimeUnit.SECONDS);
                must(false, "a record above max.message.bytes is refused");
            } catch (ExecutionException refused) {
                must(refused.getCause() instanceof RecordTooLargeException, "too large: " + refused);
            }
            RecordMetadata next = producer.send(new ProducerRecord<>(topic, bytes("after")))
                .get(60, TimeUnit.SECONDS);
            System.out.println("{\"next\": " + next.offset() + "}");
        }
    }

    static void times(String bootstrap, String topic) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaProducer<byte[], byte[]> producer = producer(bootstrap, Map.of())) {
            for (int n = 0; n < 20; n++) {
                producer.send(new ProducerRecord<>(topic, 0, 1_600_000_000_000L + 10L * n, null, bytes("v")))
                    .get(60, TimeUnit.SECONDS);
            }
        }
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap, Map.of("group.id", topic))) {
            OffsetAndTimestamp found = consumer
                .offsetsForTimes(Map.of(partition, 1_600_000_000_031L), PATIENCE).get(partition);
            long first = consumer.beginningOffsets(List.of(partition), PATIENCE).get(partition);
            long end = consumer.endOffsets(List.of(partition), PATIENCE).get(partition);
            consumer.assign(List.of(partition));
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(5, "note é")), PATIENCE);
            OffsetAndMetadata committed = consumer.committed(Set.of(partition), PATIENCE).get(partition);
            must(committed.metadata().equals("note é"), "metadata " + committed.metadata());
            System.out.println("{\"offset\": " + found.offset() + ", \"timestamp\": " + found.timestamp()
                + ", \"first\": " + first + ", \"end\": " + end + ", \"committed\": " + committed.offset() + "}");
        }
    }

    // -- transactions ------------------------------------------------------------------------

    /** Commit, abort, offsets in a transaction, and a zombie. */
    static void transactions(String bootstrap, String topic, String name) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        Map<String, Object> how = Map.of("transactional.id", name);
        Map<String, Object> reader = Map.of("group.id", name, "isolation.level", "read_committed");
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap, reader);
                KafkaProducer<byte[], byte[]> zombie = producer(bootstrap, how);
                KafkaProducer<byte[], byte[]> successor = producer(bootstrap, how)) {
            zombie.initTransactions();
            consumer.assign(List.of(partition));
            consumer.seek(partition, 0); // the group will have offsets of this very topic
            for (int round = 0; round < 4; round++) {
                zombie.beginTransaction();
                for (int n = 0; n < 100; n++) {
                    zombie.send(new ProducerRecord<>(topic, 0, null, bytes(String.valueOf(round * 100 + n))));
                }
                zombie.sendOffsetsToTransaction(
                    Map.of(partition, new OffsetAndMetadata(round)), consumer.groupMetadata());
                if (round % 2 == 0) zombie.commitTransaction(); else zombie.abortTransaction();
            }
            zombie.beginTransaction();
            zombie.send(new ProducerRecord<>(topic, 0, null, bytes("-1"))).get(60, TimeUnit.SECONDS);
            successor.initTransactions();
            boolean fenced = false;
            try {
                zombie.commitTransaction();
            } catch (ProducerFencedException | InvalidProducerEpochException expected) {
                fenced = true;
            }
            must(fenced, "the zombie is fenced");
            successor.beginTransaction();
            successor.send(new ProducerRecord<>(topic, 0, null, bytes("1000")));
            successor.commitTransaction();
            List<ConsumerRecord<byte[], byte[]>> records = poll(consumer, 201);
            must(number(records.get(100).value()) == 200, "the third transaction follows the first");
            must(number(records.get(200).value()) == 1000, "and the successor's follows that");
            long committed = consumer.committed(Set.of(partition), PATIENCE).get(partition).offset();
            System.out.println("{\"records\": " + records.size() + ", \"committed\": " + committed + "}");
        }
    }

    /** A transaction that its owner forgets is aborted by the broker, and the owner is told. */
    static void late(String bootstrap, String topic, String name) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        Map<String, Object> how = Map.of("transactional.id", name, "transaction.timeout.ms", 3_000);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap, Map.of());
                KafkaProducer<byte[], byte[]> producer = producer(bootstrap, how)) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, bytes("late"))).get(60, TimeUnit.SECONDS);
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            while (consumer.endOffsets(List.of(partition), PATIENCE).get(partition) != 2) {
                must(System.nanoTime() < deadline, "the broker aborts in time");
            }
            boolean refused = false;
            try {
                producer.commitTransaction();
            } catch (KafkaException expected) {
                refused = true;
            }
            must(refused, "the commit of what was aborted is refused");
            System.out.println("{\"refused\": true}");
        }
    }

    // -- parts -------------------------------------------------------------------------------

    static Properties given() {
        Properties settings = new Properties();
        String file = System.getProperty("client.properties");
        if (file == null) return settings;
        try (Reader reader = Files.newBufferedReader(Path.of(file))) {
            settings.load(reader);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return settings;
    }

    static Properties common(String bootstrap) {
        Properties settings = given();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("default.api.timeout.ms", 60_000);
        return settings;
    }

    static KafkaProducer<byte[], byte[]> producer(String bootstrap, Map<String, Object> more) {
        Properties settings = given();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("acks", "all");
        settings.put("enable.idempotence", true); // the default since 3.0, not in 2.8
        settings.putAll(more);
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(String bootstrap, Map<String, Object> more) {
        Properties settings = common(bootstrap);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", false);
        if (!more.containsKey("group.protocol")) { // by the newer one it is the broker that says
            settings.put("heartbeat.interval.ms", 200);
            settings.put("session.timeout.ms", 10_000);
        }
        settings.put("fetch.max.wait.ms", 50);
        settings.putAll(more);
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static List<ConsumerRecord<byte[], byte[]>> poll(KafkaConsumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (records.size() < count) {
            must(System.nanoTime() < deadline, count + " records in time, got " + records.size());
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        must(records.size() == count, count + " records, got " + records.size());
        return records;
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static int number(byte[] value) {
        return Integer.parseInt(new String(value, StandardCharsets.UTF_8));
    }

    static void must(boolean holds, String what) {
        if (!holds) throw new IllegalStateException("must hold: " + what);
    }
}
