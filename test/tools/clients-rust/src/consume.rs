//! The command consume.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientContext, TopicPartitionList};
use serde_json::json;

use crate::{Failure, Options, coded, emit};

/// Prints the partitions of this member after each change.
struct Assigned(Mutex<BTreeSet<i32>>);

impl Assigned {
    fn change(&self, list: Option<&TopicPartitionList>) {
        if let Ok(mut have) = self.0.lock() {
            *have = list.into_iter().flat_map(|l| l.elements().iter().map(|e| e.partition()).collect::<Vec<_>>()).collect();
            emit(json!({"assigned": have.iter().collect::<Vec<_>>()}));
        }
    }
}

impl ClientContext for Assigned {}

// The default assignors use the eager protocol: each assignment is complete.
impl ConsumerContext for Assigned {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, change: &Rebalance<'_>) {
        if let Rebalance::Revoke(_) = change {
            self.change(None);
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, change: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = change {
            self.change(Some(list));
        }
    }
}

pub fn consume(o: &Options) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    std::thread::spawn(move || {
        // An error is the end of the input, too.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::SeqCst);
    });
    let mut config = o.config()?;
    config.set("group.id", o.get("--group")?).set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    if let Some(protocol) = o.has("--group-protocol") {
        config.set("group.protocol", protocol);
    }
    let consumer: BaseConsumer<Assigned> = config.create_with_context(Assigned(Mutex::new(BTreeSet::new())))?;
    consumer.subscribe(&[o.get("--topic")?])?;
    while !stop.load(Ordering::SeqCst) {
        let mut read = false;
        let mut wait = Duration::from_millis(100);
        while let Some(next) = consumer.poll(wait) {
            let m = next?;
            let headers: Vec<_> = m.headers().into_iter().flat_map(|h| h.iter()).map(|h| json!([h.key, coded(h.value)])).collect();
            emit(json!({"partition": m.partition(), "offset": m.offset(), "key": coded(m.key()), "value": coded(m.payload()), "headers": headers}));
            (read, wait) = (true, Duration::ZERO);
        }
        if read {
            consumer.commit_consumer_state(CommitMode::Sync)?;
        }
    }
    drop(consumer); // leaves the group
    emit(json!({"closed": true}));
    Ok(())
}
