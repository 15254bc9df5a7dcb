// Package configs knows the configs that Apache Kafka defines: of brokers,
// topics, groups and client metrics subscriptions, with their types, defaults,
// ranges, update modes and documentation. It judges values as Kafka does.
//
//	Kafka's jars --> make kafka-configs --> kafka.json --> Load --> Tables
//
// What becomes of a config here, and what a broker has instead of Kafka's
// default, is the business of package broker. kafka.json is Kafka's own text,
// under the Apache License 2.0. Tables are read-only and may be shared.
package configs
