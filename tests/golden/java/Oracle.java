import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.zip.Deflater;
import java.util.zip.GZIPOutputStream;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.json.JsonConverter;
import org.joda.time.DateTime;
import org.joda.time.DateTimeZone;
import org.joda.time.format.DateTimeFormat;

/**
 * What Java does with the inputs of inputs.json: the expected values of the golden tests.
 * java -cp 'LIB/*' Oracle.java inputs.json outputs.json
 */
public class Oracle {
    static final ObjectMapper MAPPER = new ObjectMapper();
    static final HexFormat HEX = HexFormat.of();

    interface Answer { Object of(JsonNode input) throws Exception; }

    public static void main(String[] args) throws Exception {
        JsonNode inputs = MAPPER.readTree(new File(args[0]));
        Map<String, Answer> questions = new TreeMap<>();
        questions.put("strings", Oracle::string);
        questions.put("schemaless", Oracle::schemaless);
        questions.put("envelopes", Oracle::envelope);
        questions.put("doubles", Oracle::doubleText);
        questions.put("floats", Oracle::floatText);
        questions.put("hash_orders", Oracle::hashOrder);
        questions.put("joda", Oracle::joda);
        questions.put("schedules", Oracle::schedule);
        questions.put("gzip", Oracle::gzip);
        questions.put("properties", Oracle::properties);
        Map<String, Object> outputs = new TreeMap<>();
        for (Map.Entry<String, Answer> question : questions.entrySet()) {
            List<Object> answers = new ArrayList<>();
            for (JsonNode input : inputs.get(question.getKey())) {
                answers.add(question.getValue().of(input));
            }
            outputs.put(question.getKey(), answers);
        }
        outputs.put("java", System.getProperty("java.specification.version"));
        MAPPER.writeValue(new File(args[1]), outputs);
    }

    static byte[] bytes(JsonNode node) {
        return HEX.parseHex(node.textValue());
    }

    static String hex(byte[] bytes) {
        return HEX.formatHex(bytes);
    }

    /** A StringConverter value written by Jackson. */
    static Object string(JsonNode input) throws Exception {
        return hex(MAPPER.writeValueAsBytes(new String(bytes(input), StandardCharsets.UTF_8)));
    }

    static JsonConverter converter(boolean schemas, String decimals) {
        JsonConverter converter = new JsonConverter();
        converter.configure(
            Map.of("schemas.enable", String.valueOf(schemas), "decimal.format", decimals), false);
        return converter;
    }

    static final JsonConverter PLAIN = converter(false, "BASE64");
    static final JsonConverter NUMERIC = converter(false, "NUMERIC");
    static final JsonConverter ENVELOPE = converter(true, "BASE64");

    /** null, "error", or the hex of what Jackson writes for the converted value. */
    static Object schemaless(JsonNode input) throws Exception {
        Object value;
        try {
            value = PLAIN.toConnectData("t", bytes(input)).value();
        } catch (Exception e) {
            return "error";
        }
        return value == null ? null : hex(MAPPER.writeValueAsBytes(value));
    }

    /** null, "error", or the payload with base64 decimals and with numeric ones. */
    static Object envelope(JsonNode input) {
        try {
            SchemaAndValue found = ENVELOPE.toConnectData("t", bytes(input));
            if (found.value() == null) {
                return null;
            }
            return List.of(
                hex(PLAIN.fromConnectData("t", found.schema(), found.value())),
                hex(NUMERIC.fromConnectData("t", found.schema(), found.value())));
        } catch (Exception e) {
            return "error";
        }
    }

    static Object doubleText(JsonNode input) {
        return Double.toString(Double.longBitsToDouble(Long.parseUnsignedLong(input.textValue(), 16)));
    }

    static Object floatText(JsonNode input) {
        return Float.toString(Float.intBitsToFloat(Integer.parseUnsignedInt(input.textValue(), 16)));
    }

    static Object hashOrder(JsonNode input) {
        Map<String, Boolean> map = new HashMap<>();
        input.forEach(key -> map.put(key.textValue(), true));
        return new ArrayList<>(map.keySet());
    }

    /** TimeBasedPartitioner: truncate in local time, print. {pattern, zone, locale, duration, times} */
    static Object joda(JsonNode input) {
        List<String> answers = new ArrayList<>();
        DateTimeZone zone = DateTimeZone.forID(input.get("zone").textValue());
        long duration = input.get("duration").longValue();
        for (JsonNode time : input.get("times")) {
            long local = zone.convertUTCToLocal(time.longValue());
            long truncated = zone.convertLocalToUTC(local / duration * duration, false);
            answers.add(DateTimeFormat.forPattern(input.get("pattern").textValue())
                .withZone(zone).withLocale(new Locale(input.get("locale").textValue()))
                .print(truncated));
        }
        return answers;
    }

    /** The next multiple of the interval since local midnight, at most the next midnight. */
    static Object schedule(JsonNode input) {
        DateTimeZone zone = DateTimeZone.forID(input.get("zone").textValue());
        long interval = input.get("interval").longValue();
        List<Long> answers = new ArrayList<>();
        for (JsonNode time : input.get("times")) {
            DateTime start = new DateTime(time.longValue(), zone).withTimeAtStartOfDay();
            long midnight = start.plusDays(1).withTimeAtStartOfDay().getMillis();
            long steps = (time.longValue() - start.getMillis()) / interval + 1;
            answers.add(Math.min(start.getMillis() + steps * interval, midnight));
        }
        return answers;
    }

    /** {content, level, repeat} -> the header, and the digest of the whole member. */
    static Object gzip(JsonNode input) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        int level = input.get("level").intValue();
        byte[] content = bytes(input.get("content"));
        try (OutputStream gzip = new GZIPOutputStream(out, 8192) {
            { def.setLevel(level); }
        }) {
            for (int i = 0; i < input.get("repeat").intValue(); i++) {
                gzip.write(content);
            }
        }
        byte[] member = out.toByteArray();
        ObjectNode answer = MAPPER.createObjectNode();
        answer.put("header", hex(java.util.Arrays.copyOf(member, 10)));
        answer.put("sha256", hex(MessageDigest.getInstance("SHA-256").digest(member)));
        answer.put("size", member.length);
        return answer;
    }

    /** "error", or the entries sorted by key. */
    static Object properties(JsonNode input) throws Exception {
        Properties properties = new Properties();
        try {
            properties.load(new ByteArrayInputStream(bytes(input)));
        } catch (IllegalArgumentException e) {
            return "error";
        }
        return new TreeMap<>(properties);
    }
}
