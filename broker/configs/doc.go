// Package configs has the configs that Apache Kafka defines: of brokers, topics,
// groups and client metrics subscriptions, with their types, defaults, ranges,
// update modes and documentation. It checks values as Kafka does.
//
//	Kafka's jars --> make kafka-configs --> kafka.json --> Load --> Tables
//
// Package broker defines the effect of a config here, and a broker's values that
// differ from Kafka's default. kafka.json is Kafka's own text, under the Apache
// License 2.0. Tables are read-only and may be shared.
package configs
