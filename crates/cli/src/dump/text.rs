//! Values and bytes, written so that a terminal survives them.

use serde_json::{Map, Value as Json, json};
use sharedware::segment::schema::Value;

/// How much of a record a line shows.
const MOST: usize = 200;

/// A value as JSON: arrays of `u8` become text or lists of numbers by the same rule as in print, numbers that JSON lacks become null.
pub(super) fn json(value: &Value) -> Json {
    match value {
        Value::Int(number) => json!(number),
        Value::UInt(number) => json!(number),
        // By way of its text, or 0.1 would turn into 0.10000000149011612.
        Value::F32(number) => number.to_string().parse::<f64>().map_or(Json::Null, |number| json!(number)),
        Value::F64(number) => json!(number),
        Value::Bytes(bytes) => {
            let text = bytes.iter().rposition(|&byte| byte != 0).map(|last| &bytes[..=last]);
            match text.filter(|text| text.iter().all(|byte| matches!(byte, b' '..=b'~'))) {
                Some(text) => String::from_utf8_lossy(text).into(),
                None => json!(bytes),
            }
        }
        Value::Array(values) => values.iter().map(json).collect(),
        Value::Struct(fields) => {
            Json::Object(fields.iter().map(|(name, value)| (name.clone(), json(value))).collect::<Map<_, _>>())
        }
        other => other.to_string().into(),
    }
}

/// A record of a byte ring: text if it is, otherwise hexadecimal.
pub(super) fn record(bytes: &[u8]) -> (String, Json) {
    let length = bytes.len();
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.chars().all(|c| !c.is_control() || c == '\t'));
    match text {
        Some(text) => {
            let shown: String = text.chars().take(MOST).collect();
            let more = if shown.len() < text.len() { "..." } else { "" };
            (format!("{length} bytes: {shown:?}{more}"), json!({ "length": length, "text": text }))
        }
        None => {
            let shown = hex(&bytes[..length.min(MOST / 4)]);
            let more = if length > MOST / 4 { "..." } else { "" };
            (format!("{length} bytes: {shown}{more}"), json!({ "length": length, "hex": hex(bytes) }))
        }
    }
}

/// A row as `hexdump -C` has it.
pub(super) fn row(offset: u64, bytes: &[u8]) -> String {
    let numbers: String = bytes.iter().map(|byte| format!("{byte:02x} ")).collect();
    let letters: String =
        bytes.iter().map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '.' }).collect();
    format!("{offset:08x}  {numbers:<48} |{letters}|")
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_text_only_if_no_terminal_minds() {
        assert_eq!(record(b"abc").0, "3 bytes: \"abc\"");
        assert_eq!(record("\u{1b}[2J".as_bytes()).0, "4 bytes: 1b5b324a");
        assert_eq!(record(&[0xff]).1, json!({ "length": 1, "hex": "ff" }));
    }

    #[test]
    fn values_keep_what_json_can_say() {
        let value = Value::Struct(vec![
            ("z".into(), Value::F32(0.1)),
            ("a".into(), Value::Bytes(b"ACME\0\0".to_vec())),
            ("n".into(), Value::F64(f64::NAN)),
        ]);
        assert_eq!(json(&value).to_string(), r#"{"z":0.1,"a":"ACME","n":null}"#);
    }
}
