//! The commands produce and stream.

use std::io::BufRead;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use serde_json::{Value, json};

use crate::{Failure, Options, decoded, emit};

/// Prints the result of each record; failures are kept, or printed and ignored.
struct Told {
    failed: Arc<Mutex<Vec<String>>>,
    go_on: bool,
}

impl ClientContext for Told {}

impl ProducerContext for Told {
    type DeliveryOpaque = Box<i64>;

    fn delivery(&self, result: &DeliveryResult<'_>, i: Box<i64>) {
        match result {
            Ok(m) => emit(json!({"ack": *i, "partition": m.partition(), "offset": m.offset()})),
            Err((err, _)) if self.go_on => emit(json!({"failed": *i, "error": err.to_string()})),
            Err((err, _)) => {
                if let Ok(mut failed) = self.failed.lock() {
                    failed.push(format!("record {i}: {err}"));
                }
            }
        }
    }
}

type Sender = ThreadedProducer<Told>;

fn sender(o: &Options, order: &Value, failed: &Arc<Mutex<Vec<String>>>, go_on: bool) -> Result<Sender, Failure> {
    let mut config = o.config()?;
    config.set("acks", "all").set("compression.type", order["codec"].as_str().unwrap_or("none"));
    config.set("enable.idempotence", order["idempotent"].to_string());
    Ok(config.create_with_context(Told { failed: failed.clone(), go_on })?)
}

fn send(producer: &Sender, topic: &str, order: &Value) -> Result<(), Failure> {
    let (key, value) = (decoded(&order["key"])?, decoded(&order["value"])?);
    let mut headers = OwnedHeaders::new();
    for pair in order["headers"].as_array().into_iter().flatten() {
        let value = decoded(&pair[1])?;
        headers = headers.insert(Header { key: pair[0].as_str().unwrap_or_default(), value: value.as_ref() });
    }
    loop {
        let mut record: BaseRecord<'_, Vec<u8>, Vec<u8>, Box<i64>> =
            BaseRecord::with_opaque_to(topic, Box::new(order["i"].as_i64().ok_or("an order without a number")?));
        record = record.partition(order["partition"].as_i64().unwrap_or(0) as i32).headers(headers.clone());
        if let Some(k) = &key {
            record = record.key(k);
        }
        if let Some(v) = &value {
            record = record.payload(v);
        }
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => std::thread::sleep(Duration::from_millis(10)),
            Err((err, _)) => return Err(err.into()),
        }
    }
}

/// One producer per run of orders of the same codec and kind.
pub fn produce(o: &Options) -> Result<(), Failure> {
    let failed = Arc::new(Mutex::new(Vec::new()));
    let mut now: Option<(String, Sender)> = None;
    for text in std::io::stdin().lock().lines() {
        let order: Value = serde_json::from_str(&text?)?;
        let mode = format!("{} {}", order["codec"], order["idempotent"]);
        if now.as_ref().is_none_or(|(before, _)| *before != mode) {
            if let Some((_, done)) = now.take() {
                done.flush(Duration::from_secs(60))?;
            }
            now = Some((mode, sender(o, &order, &failed, false)?));
        }
        if let Some((_, producer)) = &now {
            send(producer, o.get("--topic")?, &order)?;
        }
    }
    if let Some((_, done)) = now {
        done.flush(Duration::from_secs(60))?;
    }
    let failed = failed.lock().map_err(|err| err.to_string())?;
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}

/// Sends each order when it arrives, with one producer, and continues after
/// records that fail.
pub fn stream(o: &Options) -> Result<(), Failure> {
    let failed = Arc::new(Mutex::new(Vec::new()));
    let mut producer: Option<Sender> = None;
    for text in std::io::stdin().lock().lines() {
        let order: Value = serde_json::from_str(&text?)?;
        if producer.is_none() {
            producer = Some(sender(o, &order, &failed, true)?);
        }
        if let Some(Err(err)) = producer.as_ref().map(|p| send(p, o.get("--topic").unwrap_or_default(), &order)) {
            emit(json!({"failed": order["i"], "error": err.to_string()}));
        }
    }
    producer.map_or(Ok(()), |p| p.flush(Duration::from_secs(60)).map_err(Into::into))
}
