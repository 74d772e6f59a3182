//! iceoryx2 0.10: publish-subscribe for messages and records, the blackboard for values.
//!
//! Chosen for speed: one publisher, one subscriber, no history, memory loaned uninitialised and written in place, the receiver
//! polling. Latency runs with a buffer of one sample, as its own benchmark does. Streams do not overflow (nothing may be
//! lost here), with a buffer as large as the job's capacity; a full one is met by discarding and sending again at once, since its
//! `RetryUntilDelivered` sleeps between attempts.

use std::hint::spin_loop;
use std::time::Duration;

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::reader::{EntryHandle, Reader};
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::port::writer::{EntryHandleMut, Writer};
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;

use crate::message::{Link, Rx, Tx, difference, fill, message, mismatch};
use crate::process::{Context, Fallible};
use crate::rivals::seqlock::{Cell, CellReader, CellWriter};

/// A node with names of its own, so that a killed run can be swept and nobody else is disturbed.
pub(crate) fn node(prefix: &str) -> Fallible<Node<ipc::Service>> {
    set_log_level(LogLevel::Error);
    let mut config = Config::default();
    let root = std::env::temp_dir().join(format!("{prefix}-iceoryx2"));
    config.global.set_root_path(&Path::new(root.as_os_str().as_encoded_bytes())?);
    config.global.prefix = FileName::new(format!("{prefix}_").as_bytes())?;
    Ok(NodeBuilder::new().config(&config).signal_handling_mode(SignalHandlingMode::Disabled).create()?)
}

/// Tries again while the other process is still making it.
fn patiently<T, E: std::error::Error + Send + Sync + 'static>(
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Fallible<T> {
    for _ in 0..200 {
        if let Ok(done) = attempt() {
            return Ok(done);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(attempt()?)
}

fn depth(context: &Context) -> usize {
    if context.job.what == "one_way" { 1 } else { context.job.capacity }
}

fn typed<const N: usize>(context: &Context, lane: usize) -> Fallible<PortFactory<ipc::Service, [u64; N], ()>> {
    let node = node(context.prefix())?;
    let name: ServiceName = context.name(lane).as_str().try_into()?;
    patiently(|| {
        node.service_builder(&name)
            .publish_subscribe::<[u64; N]>()
            .max_publishers(1)
            .max_subscribers(1)
            .history_size(0)
            .subscriber_max_buffer_size(depth(context))
            .enable_safe_overflow(false)
            .open_or_create()
    })
}

pub(crate) struct Iceoryx<const N: usize>;

pub(crate) struct IceoryxTx<const N: usize>(Publisher<ipc::Service, [u64; N], ()>);
pub(crate) struct IceoryxRx<const N: usize>(Subscriber<ipc::Service, [u64; N], ()>);

impl<const N: usize> Link for Iceoryx<N> {
    type Tx = IceoryxTx<N>;
    type Rx = IceoryxRx<N>;

    fn tx(context: &Context, lane: usize) -> Fallible<Self::Tx> {
        let service = typed(context, lane)?;
        let builder = service.publisher_builder().max_loaned_samples(1);
        Ok(IceoryxTx(builder.backpressure_strategy(BackpressureStrategy::DiscardData).create()?))
    }

    fn rx(context: &Context, lane: usize) -> Fallible<Self::Rx> {
        Ok(IceoryxRx(typed(context, lane)?.subscriber_builder().create()?))
    }
}

impl<const N: usize> Tx for IceoryxTx<N> {
    #[inline]
    fn send(&mut self, number: u64) {
        loop {
            let sample = self.0.loan_uninit().expect("a sample to write");
            if sample.write_payload(message(number)).send().expect("a connection") == 1 {
                return;
            }
            spin_loop();
        }
    }
}

impl<const N: usize> Rx for IceoryxRx<N> {
    #[inline]
    fn recv(&mut self, number: u64) -> u64 {
        loop {
            if let Some(sample) = self.0.receive().expect("a connection") {
                return difference(&sample, number);
            }
            spin_loop();
        }
    }
}

/// Slices of words, for records.
pub(crate) struct Slices;

pub(crate) struct SlicesTx(Publisher<ipc::Service, [u64], ()>, usize);
pub(crate) struct SlicesRx(Subscriber<ipc::Service, [u64], ()>);

fn slices(context: &Context, lane: usize) -> Fallible<PortFactory<ipc::Service, [u64], ()>> {
    let node = node(context.prefix())?;
    let name: ServiceName = context.name(lane).as_str().try_into()?;
    patiently(|| {
        node.service_builder(&name)
            .publish_subscribe::<[u64]>()
            .max_publishers(1)
            .max_subscribers(1)
            .history_size(0)
            .subscriber_max_buffer_size(depth(context))
            .enable_safe_overflow(false)
            .open_or_create()
    })
}

impl Link for Slices {
    type Tx = SlicesTx;
    type Rx = SlicesRx;

    fn tx(context: &Context, lane: usize) -> Fallible<Self::Tx> {
        let words = context.job.bytes / 8;
        let service = slices(context, lane)?;
        let builder = service.publisher_builder().initial_max_slice_len(words).max_loaned_samples(1);
        Ok(SlicesTx(builder.backpressure_strategy(BackpressureStrategy::DiscardData).create()?, words))
    }

    fn rx(context: &Context, lane: usize) -> Fallible<Self::Rx> {
        Ok(SlicesRx(slices(context, lane)?.subscriber_builder().create()?))
    }
}

impl Tx for SlicesTx {
    #[inline]
    fn send(&mut self, number: u64) {
        // `loan_slice` zeroes, `write_from_fn` writes in place; a refused sample is written again, as nothing keeps it.
        loop {
            let sample = self.0.loan_slice_uninit(self.1).expect("a sample to write");
            let sample = sample.write_from_fn(|k| number.wrapping_add(k as u64));
            if sample.send().expect("a connection") == 1 {
                return;
            }
            spin_loop();
        }
    }
}

impl Rx for SlicesRx {
    #[inline]
    fn recv(&mut self, number: u64) -> u64 {
        loop {
            if let Some(sample) = self.0.receive().expect("a connection") {
                return mismatch(&sample, number);
            }
            spin_loop();
        }
    }
}

/// The blackboard: one writer, values under keys, readers that never write.
pub(crate) struct Blackboard;

pub(crate) struct BlackboardWriter {
    entry: EntryHandleMut<ipc::Service, u64, [u64; 8]>,
    _writer: Writer<ipc::Service, u64>,
}

pub(crate) struct BlackboardReader {
    entry: EntryHandle<ipc::Service, u64, [u64; 8]>,
    _reader: Reader<ipc::Service, u64>,
}

impl Cell for Blackboard {
    type Writer = BlackboardWriter;
    type Reader = BlackboardReader;

    fn writer(context: &Context) -> Fallible<Self::Writer> {
        let node = node(context.prefix())?;
        let name: ServiceName = context.name(0).as_str().try_into()?;
        let board = node.service_builder(&name).blackboard_creator::<u64>().add::<[u64; 8]>(0, [0; 8]).create()?;
        let writer = board.writer_builder().create()?;
        Ok(BlackboardWriter { entry: writer.entry(&0)?, _writer: writer })
    }

    fn reader(context: &Context) -> Fallible<Self::Reader> {
        let node = node(context.prefix())?;
        let name: ServiceName = context.name(0).as_str().try_into()?;
        let board = patiently(|| node.service_builder(&name).blackboard_opener::<u64>().open())?;
        let reader = board.reader_builder().create()?;
        Ok(BlackboardReader { entry: reader.entry(&0)?, _reader: reader })
    }
}

impl CellWriter for BlackboardWriter {
    #[inline]
    fn write(&mut self, value: &[u64; 8]) {
        self.entry.update_with_copy(*value);
    }
}

impl CellReader for BlackboardReader {
    #[inline]
    fn read(&mut self) -> [u64; 8] {
        *self.entry.get()
    }
}

/// Makes a service of one 64 KiB sample, opens it from a second node-less handle, and drops both.
pub(crate) fn create_and_open(node: &Node<ipc::Service>, name: &str) -> Fallible<u64> {
    let name: ServiceName = name.try_into()?;
    let made = node.service_builder(&name).publish_subscribe::<[u64]>().create()?;
    let publisher = made.publisher_builder().initial_max_slice_len(8192).create()?;
    let opened = node.service_builder(&name).publish_subscribe::<[u64]>().open()?;
    let subscriber = opened.subscriber_builder().create()?;
    let mut sample = publisher.loan_slice(8192)?;
    fill(&mut sample.payload_mut()[..1], 42);
    sample.send()?;
    Ok(subscriber.receive()?.map_or(0, |sample| sample[0]))
}
