//! ipc-channel: its bytes channel, which skips serialisation; `try_recv` in a loop for latency would only add system calls, so
//! both sides block in the kernel.

use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender};

use crate::message::{Link, Rx, Tx, fill};
use crate::process::{Context, Fallible};
use crate::sys;

pub(crate) struct IpcChannel;

pub(crate) struct IpcTx {
    channel: IpcBytesSender,
    record: Vec<u64>,
}

pub(crate) struct IpcRx {
    channel: IpcBytesReceiver,
    words: usize,
}

/// Role 1 makes every channel and hands one end to role 0 through a one-shot server whose name travels as a note.
fn receive_end<T>(context: &Context, lane: usize) -> Fallible<T>
where
    T: for<'de> serde::Deserialize<'de> + serde::Serialize,
{
    let (server, name) = IpcOneShotServer::<T>::new()?;
    context.leave_note(lane, &name);
    context.created();
    Ok(server.accept()?.1)
}

fn hand_over<T: serde::Serialize>(context: &Context, lane: usize, end: T) -> Fallible<()> {
    Ok(IpcSender::connect(context.read_note(lane)?)?.send(end)?)
}

impl Link for IpcChannel {
    type Tx = IpcTx;
    type Rx = IpcRx;

    fn tx(context: &Context, lane: usize) -> Fallible<Self::Tx> {
        let channel = if context.role == 0 {
            receive_end(context, lane)?
        } else {
            let (channel, other) = ipc::bytes_channel()?;
            hand_over(context, lane, other)?;
            channel
        };
        Ok(IpcTx { channel, record: vec![0; context.job.bytes / 8] })
    }

    fn rx(context: &Context, lane: usize) -> Fallible<Self::Rx> {
        let channel = if context.role == 0 {
            receive_end(context, lane)?
        } else {
            let (other, channel) = ipc::bytes_channel()?;
            hand_over(context, lane, other)?;
            channel
        };
        Ok(IpcRx { channel, words: context.job.bytes / 8 })
    }
}

impl Tx for IpcTx {
    fn send(&mut self, number: u64) {
        fill(&mut self.record, number);
        self.channel.send(sys::bytes_of(&self.record)).expect("the other side to receive");
    }
}

impl Rx for IpcRx {
    fn recv(&mut self, number: u64) -> u64 {
        let bytes = self.channel.recv().expect("the other side to send");
        let words = bytes.chunks_exact(8).zip(number..);
        let missing = u64::from(bytes.len() != self.words * 8);
        words.fold(missing, |wrong, (chunk, value)| {
            wrong | chunk.iter().zip(value.to_le_bytes()).fold(0, |bits, (a, b)| bits | u64::from(a ^ b))
        })
    }
}
