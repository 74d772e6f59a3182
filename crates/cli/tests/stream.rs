//! Streams from `send` to `recv`, both real processes, in good days and bad ones.

mod support;

use std::io::{Read, Write};
use std::process::Stdio;

use rustix::process::Signal;
use support::{Room, Running, create, length, noise, open, sum, until};

#[test]
fn the_same_bytes_arrive_whoever_starts_first() {
    let room = Room::new("order");
    let bytes = noise(20_000_000);
    let path = room.file("in", &bytes);
    for sender_first in [true, false] {
        let mut send = room.tool(&["send", "x"]);
        send.stdin(open(&path));
        let (sender, receiver);
        if sender_first {
            let mut started = Running::start(send);
            started.says("waiting for a receiver: run `sharedware recv x`");
            sender = started;
            receiver = Running::start(room.tool(&["recv", "x"]));
        } else {
            let mut started = Running::start(room.tool(&["recv", "x"]));
            started.says("waiting for a sender: run `sharedware send x`");
            receiver = started;
            sender = Running::start(send);
        }
        let received = receiver.end();
        assert_eq!(received.status, Some(0), "{}", received.error);
        assert_eq!(sum(&received.output), sum(&bytes));
        assert_eq!(sender.end().status, Some(0));
        room.assert_empty();
    }
}

#[test]
fn a_pipe_and_a_small_ring_do_as_well() {
    let room = Room::new("pipe");
    let bytes = noise(3_000_000);
    let mut send = room.tool(&["send", "x", "--capacity", "4K"]);
    send.stdin(Stdio::piped());
    let mut sender = Running::start(send);
    let receiver = Running::start(room.tool(&["recv", "x"]));
    let mut to = sender.child.stdin.take().unwrap();
    let feeder = std::thread::spawn({
        let bytes = bytes.clone();
        move || to.write_all(&bytes).unwrap()
    });
    assert_eq!(sum(&receiver.end().output), sum(&bytes));
    feeder.join().unwrap();
    assert_eq!(sender.end().status, Some(0));
    room.assert_empty();
}

#[test]
fn streams_of_nothing_end_and_one_stream_follows_another() {
    let room = Room::new("again");
    for turn in 0..10 {
        let text = "x".repeat(turn);
        let path = room.file("in", text.as_bytes());
        let receiver = Running::start(room.tool(&["recv", "x"]));
        let sent = room.run(&["send", "x", "--file", path.to_str().unwrap()]);
        assert_eq!(sent.status, Some(0), "{}", sent.error);
        let received = receiver.end();
        assert_eq!((received.status, received.text()), (Some(0), text));
    }
    room.assert_empty();
}

#[test]
fn lines_are_records() {
    let room = Room::new("lines");
    let mut text: String = (0..200_000).map(|number| format!("line {number}\n")).collect();
    text.push_str("\n\nthe last one has no newline");
    let path = room.file("in", text.as_bytes());
    let sender = Running::start(room.tool(&["send", "x", "--lines", "--file", path.to_str().unwrap()]));
    let received = Running::start(room.tool(&["recv", "x", "--lines"])).end();
    assert_eq!(received.status, Some(0), "{}", received.error);
    assert_eq!(received.text(), text + "\n");
    assert_eq!(sender.end().status, Some(0));
    room.assert_empty();
}

#[test]
fn a_line_that_no_ring_record_can_hold_is_refused() {
    let room = Room::new("long-line");
    let path = room.file("in", format!("short\n{}\n", "x".repeat(3000)).as_bytes());
    let file = path.to_str().unwrap();
    let sent = room.run(&["send", "x", "--lines", "--capacity", "4K", "--file", file]);
    sent.fails(1, &["line 2 is longer than 2032 bytes", "--capacity"]);
    room.assert_empty();
}

/// A sender that has sent this much and waits for more input.
fn half_a_stream(room: &Room, arguments: &[&str], bytes: &[u8]) -> Running {
    let mut send = room.tool(arguments);
    send.stdin(Stdio::piped());
    let mut sender = Running::start(send);
    sender.child.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    sender
}

#[test]
fn a_receiver_drains_what_a_killed_sender_had_sent() {
    let room = Room::new("sender-dies");
    let bytes = noise(50_000);
    let mut sender = half_a_stream(&room, &["send", "x"], &bytes);
    let out = room.path("out");
    let mut recv = room.tool(&["recv", "x"]);
    recv.stdout(create(&out));
    let receiver = Running::start(recv);
    until("all was received", || length(&out) == bytes.len() as u64);
    sender.kill();
    receiver.end().fails(4, &["the sender of `x` has died before the end of its stream", "all that it had sent"]);
    assert_eq!(std::fs::read(&out).unwrap(), bytes);
    room.assert_empty();
}

#[test]
fn a_sender_notices_a_killed_receiver_even_while_it_waits_for_input() {
    let room = Room::new("receiver-dies");
    let sender = half_a_stream(&room, &["send", "x"], b"hello");
    let mut receiver = Running::start(room.tool(&["recv", "x"]));
    let mut some = [0; 5];
    receiver.child.stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
    receiver.kill();
    sender.end().fails(4, &["the receiver of `x` has died before the end", "--wait"]);
    room.assert_empty();
}

#[test]
fn a_second_receiver_goes_on_where_a_killed_one_stopped() {
    let room = Room::new("second-receiver");
    let text: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    let path = room.file("in", text.as_bytes());
    let sender = Running::start(room.tool(&[
        "send",
        "x",
        "--lines",
        "--wait",
        "--capacity",
        "64K",
        "--file",
        path.to_str().unwrap(),
    ]));
    let first = room.path("first");
    let mut recv = room.tool(&["recv", "x", "--lines"]);
    recv.stdout(create(&first));
    let mut receiver = Running::start(recv);
    until("something was received", || length(&first) > 1000);
    receiver.kill();
    let first = std::fs::read_to_string(&first).unwrap();
    let second = Running::start(room.tool(&["recv", "x", "--lines"])).end();
    assert_eq!(second.status, Some(0), "{}", second.error);
    assert_eq!(sender.end().status, Some(0));
    let second = second.text();
    // What was being written when the receiver died comes once more, nothing else does, and nothing is missing.
    let missing = text.len() - second.len();
    assert!(text.ends_with(&second) && text.starts_with(&first) && first.len() >= missing);
    assert!(first.len() - missing <= 64 << 10, "{} bytes came again", first.len() - missing);
    room.assert_empty();
}

#[test]
fn a_second_sender_goes_on_where_a_killed_one_stopped() {
    let room = Room::new("second-sender");
    let mut sender = half_a_stream(&room, &["send", "x"], b"one, ");
    let mut receiver = Running::start(room.tool(&["recv", "x", "--wait"]));
    let mut some = [0; 5];
    receiver.child.stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
    sender.kill();
    receiver.says("the sender is gone: waiting for another, run `sharedware send x --resume`");
    let path = room.file("in", b"two");
    let resumed = room.run(&["send", "x", "--resume", "--file", path.to_str().unwrap()]);
    assert_eq!(resumed.status, Some(0), "{}", resumed.error);
    let rest = receiver.end();
    assert_eq!((&some, rest.status, rest.text().as_str()), (b"one, ", Some(0), "two"));
    room.run(&["send", "x", "--resume"]).fails(3, &["no unfinished stream `x`"]);
    room.assert_empty();
}

#[test]
fn a_new_sender_does_not_mix_its_stream_into_an_unfinished_one() {
    let room = Room::new("no-mixing");
    let mut sender = half_a_stream(&room, &["send", "x"], b"half");
    let mut waiting = Running::start(room.tool(&["recv", "x", "--wait"]));
    let mut some = [0; 4];
    waiting.child.stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
    sender.kill();
    let path = room.file("in", b"whole");
    let mut next = Running::start(room.tool(&["send", "x", "--file", path.to_str().unwrap()]));
    next.says("did not end its stream");
    waiting.signal(Signal::TERM);
    assert_eq!(waiting.end().status, None);
    assert_eq!(Running::start(room.tool(&["recv", "x"])).end().text(), "whole");
    assert_eq!(next.end().status, Some(0));
    room.assert_empty();
}

#[test]
fn a_second_process_on_a_side_is_told_who_has_it() {
    let room = Room::new("taken");
    let sender = half_a_stream(&room, &["send", "x"], b"a");
    let pid = sender.child.id().to_string();
    until("the ring is there", || room.domain().stat("x").is_ok());
    let mut receiver = Running::start(room.tool(&["recv", "x"]));
    let mut some = [0];
    receiver.child.stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
    room.run(&["send", "x"]).fails(1, &["producer side is taken", &pid, "sharedware"]);
    room.run(&["recv", "x"]).fails(1, &["consumer side is taken", &receiver.child.id().to_string()]);
}

#[test]
fn signals_leave_nothing_behind() {
    let room = Room::new("signals");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP].into_iter().filter(|&signal| support::is_heeded(signal)) {
        let mut sender = half_a_stream(&room, &["send", "x"], b"a");
        sender.says("waiting for a receiver");
        sender.signal(signal);
        let status = sender.wait();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(signal.as_raw()));
        room.assert_empty();
    }
}

#[test]
fn a_killed_sender_that_nobody_received_from_leaves_what_clean_takes_away() {
    let room = Room::new("killed-alone");
    let mut sender = half_a_stream(&room, &["send", "x"], b"a");
    sender.says("waiting for a receiver");
    sender.kill();
    let ran = room.run(&["clean", "--dry-run"]);
    assert!(ran.text().contains("would remove x\n"), "{}", ran.text());
    assert!(room.left().iter().any(|name| name.ends_with(".x")));
    room.run(&["dump", "x"]).fails(3, &["left over", "sharedware clean"]);
    room.assert_cleanable();
}

#[test]
fn a_reader_that_has_had_enough_ends_both_quietly() {
    let room = Room::new("head");
    let path = room.file("in", &noise(50_000_000));
    let sender = Running::start(room.tool(&["send", "x", "--file", path.to_str().unwrap()]));
    let mut receiver = Running::start(room.tool(&["recv", "x"]));
    let mut some = [0; 10];
    let mut stdout = receiver.child.stdout.take().unwrap();
    stdout.read_exact(&mut some).unwrap();
    drop(stdout);
    let status = receiver.wait();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::PIPE.as_raw()));
    assert!(!receiver.end().error.contains("cannot"));
    sender.end().fails(4, &["the receiver of `x` has left"]);
    room.assert_empty();
}
