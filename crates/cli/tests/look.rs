//! `ls`, `stat`, `dump`, `clean`, `rm`, and the rest of the command line.

mod support;

use std::fs;

use serde_json::json;
use sharedware::ring::{bytes, spsc};
use sharedware::slot::Slots;
use sharedware::{Lifetime, Options, Segment};
use support::{Room, Running};

#[test]
fn ls_shows_segments_and_their_users() {
    let room = Room::new("ls");
    let domain = room.domain();
    let _slots = Slots::create(&domain, "prices", 3, [1.5_f64, 2.5]).unwrap();
    let listed = room.run(&["ls", "--json"]).json();
    assert_eq!(listed["domain"], "test");
    let [segment] = listed["segments"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!((&segment["name"], &segment["kind"]), (&json!("prices"), &json!("slots")));
    assert_eq!(segment["schema"], "(2)<d");
    assert_eq!(segment["users"][0]["pid"], std::process::id());
    assert!(segment["age_seconds"].as_f64().unwrap() < 600.0);
    let text = room.run(&["ls"]).text();
    assert!(text.starts_with("NAME") && text.contains("prices") && !text.contains("@peers"), "{text}");
    assert!(room.run(&["ls", "--all"]).text().contains("@peers"));
}

#[test]
fn an_empty_domain_is_no_failure() {
    let room = Room::new("empty");
    let ran = room.run(&["ls"]);
    assert_eq!((ran.status, ran.output.len()), (Some(0), 0));
    assert!(ran.error.contains("is empty"));
    assert_eq!(room.run(&["ls", "--json"]).json()["segments"], json!([]));
}

#[test]
fn foreign_objects_are_listed_with_the_reason() {
    let room = Room::new("foreign");
    let _slots = Slots::create(&room.domain(), "good", 1, 1_u64).unwrap();
    let at = |name: &str| room.directory.join(format!("sharedware.test.{name}"));
    fs::write(at("short"), b"hello").unwrap();
    fs::write(at("noise"), support::noise(8192)).unwrap();
    fs::create_dir(at("folder")).unwrap();
    fs::write(at("bad\u{1b}[2J"), b"").unwrap();
    let listed = room.run(&["ls", "--json"]).json();
    let segments = listed["segments"].as_array().unwrap();
    let error = |name: &str| segments.iter().find(|segment| segment["name"] == name).unwrap()["error"].clone();
    assert!(error("short").as_str().unwrap().contains("cut off"));
    assert!(error("noise").as_str().unwrap().contains("not made by sharedware"));
    assert!(error("folder").as_str().unwrap().contains("a directory"));
    assert!(error("good").is_null());
    let text = room.run(&["ls"]).text();
    assert!(text.contains("not usable") && text.contains("slots") && !text.contains('\u{1b}'), "{text}");
    room.run(&["stat", "noise"]).fails(1, &["not made by sharedware"]);
    room.run(&["rm", "folder"]).fails(1, &["a directory"]);
    // `clean` leaves them alone, and says so.
    let cleaned = room.run(&["clean", "--json"]).json();
    assert_eq!(cleaned["removed"], json!([]));
    assert_eq!(cleaned["left"].as_array().unwrap().len(), 4);
}

#[test]
fn dump_prints_slots_by_their_schema() {
    let room = Room::new("dump-slots");
    let slots = Slots::create(&room.domain(), "prices", 2, [0.0_f64; 2]).unwrap();
    slots.write(1, &[1.5, f64::NAN]).unwrap();
    let text = room.run(&["dump", "prices"]).text();
    assert_eq!(text, "[0] version 0: [0.0, 0.0]\n[1] version 1: [1.5, NaN]\n");
    let dumped = room.run(&["dump", "prices", "--json"]).json();
    assert_eq!(dumped["values"][1], json!({ "index": 1, "version": 1, "value": [1.5, null] }));
    assert_eq!(room.run(&["dump", "prices", "--json", "--limit", "1"]).json()["omitted"], 1);
}

#[test]
fn dump_prints_rings_and_takes_nothing_out() {
    let room = Room::new("dump-rings");
    let typed = spsc::Ring::<[u8; 8]>::create(&room.domain(), "typed", 8).unwrap();
    let records = bytes::Ring::create(&room.domain(), "records", 4096).unwrap();
    let (mut typed, mut records) = (typed.producer().unwrap(), records.producer().unwrap());
    for text in [b"one\0\0\0\0\0", b"two\0\0\0\0\0"] {
        typed.push(*text).unwrap();
        records.send(&text[..3]).unwrap();
    }
    records.send(&[0xff, 0]).unwrap();
    records.finish().unwrap();
    for _ in 0..2 {
        assert_eq!(room.run(&["dump", "typed"]).text(), "[0] \"one\"\n[1] \"two\"\n");
        let expected = "3 bytes: \"one\"\n3 bytes: \"two\"\n2 bytes: ff00\n(end of the stream)\n";
        assert_eq!(room.run(&["dump", "records"]).text(), expected);
    }
    let dumped = room.run(&["dump", "typed", "--json"]).json();
    assert_eq!(dumped["values"][1], json!({ "position": 1, "value": "two" }));
    assert_eq!(dumped["positions"], json!({ "consumer": 0, "producer": 2 }));
    let dumped = room.run(&["dump", "records", "--json"]).json();
    assert_eq!(dumped["values"][2], json!({ "length": 2, "hex": "ff00" }));
    assert_eq!(dumped["finished"], true);
}

#[test]
fn dump_prints_raw_segments_as_rows() {
    let room = Room::new("dump-raw");
    let segment = Segment::create(&room.domain(), "raw", 4096, &Options::new()).unwrap();
    segment.write(0, b"hello").unwrap();
    let text = room.run(&["dump", "raw", "--limit", "1"]).text();
    assert!(
        text.starts_with("00000000  68 65 6c 6c 6f 00") && text.contains("|hello...") && text.contains("more"),
        "{text}"
    );
}

#[test]
fn stat_tells_everything() {
    let room = Room::new("stat");
    let ring = bytes::Ring::create(&room.domain(), "ring", 4096).unwrap();
    ring.producer().unwrap().send(b"hello").unwrap();
    let told = room.run(&["stat", "ring", "--json"]).json();
    assert_eq!(told["positions"], json!({ "consumer": 0, "producer": 16 }));
    assert_eq!((&told["mode"], &told["lifetime"]), (&json!("0600"), &json!("while used")));
    let text = room.run(&["stat", "ring"]).text();
    for words in ["byte ring", "4.00 KiB", "mode 0600", &std::process::id().to_string()] {
        assert!(text.contains(words), "expected `{words}` in: {text}");
    }
}

#[test]
fn clean_and_rm_remove_what_they_should_and_say_so() {
    let room = Room::new("clean");
    let lasting = Options::new().lifetime(Lifetime::UntilRemoved);
    drop(Segment::create(&room.domain(), "lasting", 4096, &lasting).unwrap());
    let _used = Segment::create(&room.domain(), "used", 4096, &Options::new()).unwrap();
    let ran = room.run(&["clean"]);
    assert_eq!((ran.status, ran.text().as_str()), (Some(0), ""));
    assert!(ran.error.contains("removed 0 segments"));
    assert_eq!(room.run(&["rm", "lasting"]).status, Some(0));
    room.run(&["rm", "lasting"]).fails(3, &["no such segment", "sharedware ls"]);
    assert!(room.domain().stat("used").is_ok());
}

#[test]
fn what_is_not_there_and_what_cannot_be_have_statuses_of_their_own() {
    let room = Room::new("statuses");
    for command in ["stat", "locks", "dump", "rm"] {
        room.run(&[command, "nothing"]).fails(3, &["no such segment"]);
        room.run(&[command, "no/slash"]).fails(2, &["segment name"]);
    }
    room.run(&["send", ".hidden"]).fails(2, &["segment name"]);
    room.run(&["recv", ""]).fails(2, &["empty"]);
    room.run(&["ls", "--domain", "a.b"]).fails(2, &["domain name"]);
    room.run(&["ls", "--dir", "/nowhere"]).fails(1, &["/nowhere", "SHAREDWARE_DIR"]);
    room.run(&["send", "x", "--file", "/nowhere"]).fails(3, &["/nowhere"]);
    room.run(&["send", "x", "--file", "/tmp"]).fails(2, &["directory"]);
    assert_eq!(room.run(&["send", "x", "--capacity", "4X"]).status, Some(2));
    assert_eq!(room.run(&["fly"]).status, Some(2));
    room.assert_empty();
}

#[test]
fn options_choose_domain_and_directory() {
    let room = Room::new("options");
    let _slots = Slots::create(&room.domain(), "mine", 1, 1_u64).unwrap();
    let mut command = room.tool(&["--domain", "test", "--dir", room.directory.to_str().unwrap(), "ls"]);
    command.env("SHAREDWARE_DOMAIN", "other").env("SHAREDWARE_DIR", "/nowhere");
    assert!(Running::start(command).end().text().contains("mine"));
}

#[test]
fn every_shell_gets_completions_and_every_command_has_help() {
    let room = Room::new("help");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(room.run(&["completions", shell]).text().contains("sharedware"));
    }
    for command in ["send", "recv", "ls", "stat", "locks", "dump", "clean", "rm", "demo", "completions"] {
        assert!(room.run(&[command, "--help"]).text().contains("Example"), "{command}");
    }
    assert!(room.run(&["--help"]).text().contains("Exit status"));
}
