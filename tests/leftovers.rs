//! What a crash left under a name once kept the next version of a program from using the name, if the element type had changed; and a registry
//! removed by hand kept its processes in a table that nobody else looked at.

use std::path::PathBuf;

use sharedware::Domain;
use sharedware::ring::spsc::Ring;
use sharedware::slot::{Slot, Slots};

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/dev/shm/sharedware-test-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn domain(&self) -> Domain {
        Domain::new("t").unwrap().in_directory(&self.0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_leftover_of_another_type_is_gone_too() {
    let place = Place::new("other-type");
    let domain = place.domain();
    let path = domain.path_of("x").unwrap();
    let ring = Ring::<u64>::create(&domain, "x", 4).unwrap();
    // A copy that nobody maps is what a crash would have left.
    let bytes = std::fs::read(&path).unwrap();
    drop(ring);
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let error = Slot::<u32>::open(&domain, "x").unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(!path.exists());
    Slot::open_or_create(&domain, "x", 1_u32).unwrap();
}

#[test]
fn who_opens_something_after_the_registry_was_removed_registers_anew() {
    let place = Place::new("registry");
    let domain = place.domain();
    let before = Ring::<u64>::create(&domain, "before", 4).unwrap();
    std::fs::remove_file(place.0.join("sharedware.t.@peers")).unwrap();
    assert!(domain.peers().unwrap().is_empty());
    let after = Ring::<u64>::create(&domain, "after", 4).unwrap();
    assert_eq!(domain.peers().unwrap().len(), 1);
    drop((before, after));
}

#[test]
fn several_slots_are_not_opened_as_one() {
    let place = Place::new("several");
    let _slots = Slots::create(&place.domain(), "s", 2, 0_u64).unwrap();
    let error = Slot::<u64>::open(&place.domain(), "s").unwrap_err();
    assert!(error.to_string().contains("expected a number of slots 1 (open them as Slots), found 2"), "{error}");
}
