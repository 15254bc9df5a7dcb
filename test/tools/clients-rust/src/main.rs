//! rdkafka for Rust with the commands of `make clients`, which are described in
//! test/suites/clients/doc.go.

mod consume;
mod produce;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};

pub type Failure = Box<dyn Error>;

/// The flags of every command.
pub struct Options {
    flags: BTreeMap<String, String>,
}

impl Options {
    pub fn get(&self, name: &str) -> Result<&str, Failure> {
        self.flags.get(name).map(String::as_str).ok_or_else(|| format!("flag {name} is missing").into())
    }

    pub fn has(&self, name: &str) -> Option<&str> {
        self.flags.get(name).map(String::as_str)
    }

    pub fn config(&self) -> Result<ClientConfig, Failure> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.get("--bootstrap")?).set("client.id", self.get("--client-id")?);
        Ok(config)
    }
}

/// Prints one line.
pub fn emit(line: Value) {
    let mut out = std::io::stdout().lock();
    // An error means that the reader is gone.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

pub fn coded(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |b| Value::String(STANDARD.encode(b)))
}

pub fn decoded(value: &Value) -> Result<Option<Vec<u8>>, Failure> {
    value.as_str().map(|text| STANDARD.decode(text)).transpose().map_err(Into::into)
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let word = args.next().ok_or("want create, produce, stream, consume or leaders")?;
    let mut flags = BTreeMap::new();
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        flags.insert(name, value);
    }
    let o = Options { flags };
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    emit(json!({"client": "rdkafka for Rust", "version": format!("0.39.0, librdkafka {librdkafka}")}));
    match word.as_str() {
        "create" => create(&o),
        "produce" => produce::produce(&o),
        "stream" => produce::stream(&o),
        "consume" => consume::consume(&o),
        "leaders" => leaders(&o),
        _ => Err(format!("unknown word {word}").into()),
    }
}

fn create(o: &Options) -> Result<(), Failure> {
    let admin: AdminClient<DefaultClientContext> = o.config()?.create()?;
    let topic = NewTopic::new(o.get("--topic")?, o.get("--partitions")?.parse()?, TopicReplication::Fixed(1));
    let made = admin.create_topics([&topic], &AdminOptions::new().operation_timeout(Some(Duration::from_secs(60))));
    for one in wait(made)? {
        one.map_err(|(name, code)| format!("create {name}: {code}"))?;
    }
    Ok(())
}

/// Waits for a future that librdkafka's own thread completes, so that no runtime
/// is needed.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::task::Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(done) => return done,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

fn leaders(o: &Options) -> Result<(), Failure> {
    let client: BaseConsumer = o.config()?.create()?;
    for n in 1..=o.get("--refreshes")?.parse::<u32>()? {
        let found = client.fetch_metadata(Some(o.get("--topic")?), Duration::from_secs(10))?;
        let at: BTreeMap<i32, String> = found.brokers().iter().map(|b| (b.id(), format!("{}:{}", b.host(), b.port()))).collect();
        let topic = found.topics().first().ok_or("no topic in the answer")?;
        let leaders: BTreeMap<String, &String> =
            topic.partitions().iter().filter_map(|p| at.get(&p.leader()).map(|addr| (p.id().to_string(), addr))).collect();
        emit(json!({"refresh": n, "leaders": leaders, "brokers": at.values().collect::<Vec<_>>()}));
    }
    Ok(())
}
