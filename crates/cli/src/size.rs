//! Sizes as people write and read them.

/// Reads `4096`, `64K`, `4M`, `1G`: units of 1024.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        unit => return Err(format!("expected a unit of K, M or G, found `{unit}`")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("expected a size such as 4M, found `{text}`"))?;
    number.checked_mul(1 << shift).filter(|&size| size > 0).ok_or_else(|| format!("`{text}` is no possible size"))
}

/// `4.0 MiB`.
pub(crate) fn show(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// `1 byte`, `17 lines`.
pub(crate) fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", indicatif::HumanCount(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        for (text, size) in [("1", 1), ("64K", 65_536), ("4m", 4 << 20), ("1GiB", 1 << 30), ("12b", 12)] {
            assert_eq!(parse(text), Ok(size), "{text}");
        }
        for text in ["", "K", "-1", "0", "4T", "1.5M", "99999999999G"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
