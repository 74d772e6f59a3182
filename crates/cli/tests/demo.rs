//! The demo, on no terminal.

mod support;

use std::io::{BufRead, BufReader};

use support::{Room, Running, until};

#[test]
fn it_kills_replaces_loses_nothing_and_cleans_up() {
    let room = Room::new("demo");
    let ran = room.run(&["demo", "--seconds", "2"]);
    let text = ran.text();
    assert_eq!(ran.status, Some(0), "{text}{}", ran.error);
    for words in ["kill -9", "goes on at message", "\n  lost: 0", "left behind", ": nothing\n"] {
        assert!(text.contains(words), "expected `{words}` in: {text}");
    }
    assert_eq!(ran.error, "");
    room.assert_empty();
}

#[test]
fn interrupted_it_cleans_up_and_sums_up() {
    let room = Room::new("demo-int");
    let running = Running::start(room.tool(&["demo", "--seconds", "600"]));
    until("all are at work", || ["demo.book", "demo.feed"].iter().all(|name| users(&room, name) >= 4));
    // Not INT, which a shell that runs tests in the background may have them ignore.
    running.signal(rustix::process::Signal::TERM);
    let ran = running.end();
    assert_eq!(ran.status, None);
    assert!(ran.text().contains("\n  lost: 0"), "{}", ran.text());
    room.assert_empty();
}

#[test]
fn killed_it_takes_its_processes_along_and_they_clean_up() {
    let room = Room::new("demo-kill");
    let mut running = Running::start(room.tool(&["demo", "--seconds", "600"]));
    let mut first = String::new();
    // Kept, or it would end for want of a reader.
    let mut stdout = BufReader::new(running.child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    assert!(first.starts_with("sharedware demo"), "{first}");
    until("all are at work", || ["demo.book", "demo.feed"].iter().all(|name| users(&room, name) >= 4));
    room.run(&["demo"]).fails(1, &["another demo is running", "--name"]);
    running.kill();
    until("all is gone", || room.left().is_empty());
}

fn users(room: &Room, name: &str) -> usize {
    room.domain().users(name).map_or(0, |users| users.len())
}
