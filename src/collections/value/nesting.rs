//! How deep MessagePack is nested, asked before anything recurses into it.
//!
//! `rmp-serde` counts levels when it reads, but not those of enums, and not when it writes.

/// The deepest nesting of data that is written or read.
pub const MAX_NESTING: usize = 128;

/// Whether the bytes are one item of MessagePack, nested at most [`MAX_NESTING`] deep; if not, what is wrong. Takes time linear in
/// their number, and no memory.
pub(super) fn check(mut bytes: &[u8]) -> Result<(), &'static str> {
    // Of each level that is open, how many items are to come.
    let mut levels = [0_u64; MAX_NESTING];
    let mut depth = 0_usize;
    loop {
        let (skip, items) = item(&mut bytes).ok_or("it is cut off, or not MessagePack")?;
        let skip = usize::try_from(skip).map_err(|_| "it is cut off")?;
        bytes = bytes.get(skip..).ok_or("it is cut off")?;
        if items > 0 {
            *levels.get_mut(depth).ok_or("it is nested more than 128 levels deep")? = items;
            depth += 1;
            continue;
        }
        // The item is complete, and with it perhaps what it is the last item of.
        loop {
            let Some(level) = depth.checked_sub(1).and_then(|last| levels.get_mut(last)) else {
                return if bytes.is_empty() { Ok(()) } else { Err("there are more bytes behind it") };
            };
            *level -= 1;
            if *level > 0 {
                break;
            }
            depth -= 1;
        }
    }
}

/// Reads what is in front of an item: how many bytes of it are behind that, and how many items.
fn item(bytes: &mut &[u8]) -> Option<(u64, u64)> {
    let [marker] = take(bytes)?;
    let small = u64::from(marker & 0x0f);
    Some(match marker {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (0, 0),
        0x80..=0x8f => (0, 2 * small),
        0x90..=0x9f => (0, small),
        0xa0..=0xbf => (u64::from(marker & 0x1f), 0),
        0xc1 => return None,
        0xc4 | 0xd9 => (take(bytes).map(u8::from_be_bytes)?.into(), 0),
        0xc5 | 0xda => (take(bytes).map(u16::from_be_bytes)?.into(), 0),
        0xc6 | 0xdb => (take(bytes).map(u32::from_be_bytes)?.into(), 0),
        0xc7 => (1 + u64::from(take(bytes).map(u8::from_be_bytes)?), 0),
        0xc8 => (1 + u64::from(take(bytes).map(u16::from_be_bytes)?), 0),
        0xc9 => (1 + u64::from(take(bytes).map(u32::from_be_bytes)?), 0),
        0xcc | 0xd0 => (1, 0),
        0xcd | 0xd1 => (2, 0),
        0xca | 0xce | 0xd2 => (4, 0),
        0xcb | 0xcf | 0xd3 => (8, 0),
        0xd4..=0xd8 => (1 + (1 << (marker - 0xd4)), 0),
        0xdc => (0, take(bytes).map(u16::from_be_bytes)?.into()),
        0xdd => (0, take(bytes).map(u32::from_be_bytes)?.into()),
        0xde => (0, 2 * u64::from(take(bytes).map(u16::from_be_bytes)?)),
        0xdf => (0, 2 * u64::from(take(bytes).map(u32::from_be_bytes)?)),
    })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of every marker the shortest item, with its whole length.
    #[test]
    fn every_item_has_its_length() {
        for marker in 0..=u8::MAX {
            // Lengths, types and numbers that are 0.
            let behind = match marker {
                0x80..=0x8f => 2 * (marker - 0x80),
                0x90..=0x9f => marker - 0x90,
                0xa0..=0xbf => marker - 0xa0,
                0xc4 | 0xcc | 0xd0 | 0xd9 => 1,
                0xc5 | 0xc7 | 0xcd | 0xd1 | 0xd4 | 0xda | 0xdc | 0xde => 2,
                0xc8 | 0xd5 => 3,
                0xc6 | 0xca | 0xce | 0xd2 | 0xdb | 0xdd | 0xdf => 4,
                0xc9 | 0xd6 => 5,
                0xcb | 0xcf | 0xd3 => 8,
                0xd7 => 9,
                0xd8 => 17,
                _ => 0,
            };
            let mut item = vec![0; 1 + usize::from(behind)];
            item[0] = marker;
            assert_eq!(check(&item).is_ok(), marker != 0xc1, "{marker:#x}");
            assert!(check(&item[..item.len() - 1]).is_err(), "{marker:#x}");
            item.push(0);
            assert!(check(&item).is_err(), "{marker:#x}");
        }
    }

    #[test]
    fn levels_are_counted() {
        let deep = |levels: usize| [vec![0x91; levels], vec![1]].concat();
        assert_eq!(check(&deep(MAX_NESTING)), Ok(()));
        assert_eq!(check(&deep(MAX_NESTING + 1)), Err("it is nested more than 128 levels deep"));
        assert_eq!(check(&[0x92, 0x92, 1, 2, 0x81, 1, 0x90]), Ok(()));
        assert_eq!(check(&[0x92, 0x92, 1, 2, 0x81, 1]), Err("it is cut off, or not MessagePack"));
        assert_eq!(check(&[0xdf, 0xff, 0xff, 0xff, 0xff, 1, 1]), Err("it is cut off, or not MessagePack"));
        assert_eq!(check(&[0xc6, 0xff, 0xff, 0xff, 0xff, 1, 1]), Err("it is cut off"));
    }
}
