#!/bin/sh
# The notebook starts ZooKeeper before Kafka. This broker keeps its own metadata.
echo "zookeeper-server-start.sh: none is needed; the broker keeps its own metadata" >&2
