//! Ids, numbers and names in JSON, however a tool writes them.

use boxcam::text;
use serde_json::Value;

/// A number, or a text with one. NaN and infinities count as numbers.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text::number(text),
        _ => None,
    }
}

/// An id that is equal for `1`, `1.0` and `"1"`.
pub(super) fn id(value: &Value) -> String {
    match value {
        Value::String(text) => plain_id(text),
        Value::Number(number) => plain_id(&number.to_string()),
        other => other.to_string(),
    }
}

/// The same for an id in a text: `0.0e+00` is `0`.
pub(super) fn plain_id(text: &str) -> String {
    let text = text::trim(text);
    // Only with a point: `5e10` may be part of a hash.
    let whole = text
        .parse()
        .ok()
        .filter(|number: &f64| text.contains('.') && number.fract() == 0.0 && number.abs() < 9e15);
    whole.map_or_else(|| text.to_owned(), |number| format!("{}", number as i64))
}

/// A name: a text that is not empty, or a number.
pub(super) fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text::trim(text).to_owned()).filter(|name| !name.is_empty()),
        Value::Number(_) | Value::Bool(_) => Some(id(value)),
        _ => None,
    }
}

/// Whether a flag is set: 1, `true`, or a text with one of them.
pub(super) fn flag(value: &Value) -> bool {
    match value {
        Value::Bool(set) => *set,
        Value::String(text) if text::trim(text).eq_ignore_ascii_case("true") => true,
        other => number(other).is_some_and(|number| number > 0.0),
    }
}

/// Whether a field is true or false; `Ok(None)` for a missing one, an error for anything else.
pub(super) fn optional_bool(value: &Value) -> Result<Option<bool>, ()> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(set) => Ok(Some(*set)),
        Value::String(text) if text::trim(text).eq_ignore_ascii_case("false") => Ok(Some(false)),
        Value::String(text) if text::trim(text).eq_ignore_ascii_case("true") => Ok(Some(true)),
        other => match number(other) {
            Some(0.0) => Ok(Some(false)),
            Some(1.0) => Ok(Some(true)),
            _ => Err(()),
        },
    }
}

/// Width and height in pixels, if both are positive whole numbers.
pub(super) fn size(width: Option<f64>, height: Option<f64>) -> Option<(u32, u32)> {
    let side = |side: Option<f64>| {
        let whole = side.filter(|side| side.fract() == 0.0 && *side > 0.0);
        whole.map(|side| side as u32)
    };
    side(width).zip(side(height))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_equal_however_they_are_written() {
        for value in [json!(1), json!(1.0), json!("1"), json!("1.0"), json!(" 1 ")] {
            assert_eq!(id(&value), "1", "{value}");
        }
        assert_eq!(id(&json!("0.0e+00")), "0");
        for other in ["000001", "5e10", "a.0", "1.5", "12e3-4.0"] {
            assert_eq!(id(&json!(other)), other);
        }
    }

    #[test]
    fn flags_and_names_are_read_in_any_type() {
        for set in [json!(1), json!(true), json!("1"), json!("True"), json!(1.0)] {
            assert!(flag(&set), "{set}");
        }
        for unset in [
            json!(0),
            json!(false),
            json!("0"),
            json!(""),
            json!(null),
            json!(-1),
        ] {
            assert!(!flag(&unset), "{unset}");
        }
        for (value, expected) in [
            (json!(null), Ok(None)),
            (json!(true), Ok(Some(true))),
            (json!(0), Ok(Some(false))),
            (json!("False"), Ok(Some(false))),
            (json!("1"), Ok(Some(true))),
            (json!("maybe"), Err(())),
            (json!(2), Err(())),
        ] {
            assert_eq!(optional_bool(&value), expected, "{value}");
        }
        assert_eq!(name(&json!(7)).as_deref(), Some("7"));
        assert_eq!(name(&json!("\u{feff}mug ")).as_deref(), Some("mug"));
        assert_eq!(name(&json!("  ")), None);
        assert_eq!(name(&json!(null)), None);
        assert_eq!(size(Some(160.0), Some(120.0)), Some((160, 120)));
        assert_eq!(size(Some(0.0), Some(120.0)), None);
        assert_eq!(size(None, Some(120.0)), None);
    }
}
