//! JSON as Python and other tools write it: with `NaN` and `Infinity`, or numbers that JSON does not allow.
//!
//! By the standard such a file is no JSON at all. Here each invalid number becomes the text that it was written as, so that
//! only what needs this number is lost.

use serde::de::DeserializeOwned;

/// Parses a text, after its invalid numbers are replaced if it is no JSON without that.
///
/// # Errors
/// The error of the original text if it has other faults too.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&with_valid_numbers(text)).map_err(|_| error))
}

/// The text with everything between strings and punctuation that is no JSON value written as one: as a number if that is
/// what it is (`.5`, `+3`, `007`), else as a string.
fn with_valid_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|letter: char| letter == '"' || is_of_a_word(letter)) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = match rest.starts_with('"') {
            true => string_end(rest),
            false => rest
                .find(|letter| !is_of_a_word(letter))
                .unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(end);
        match word.starts_with('"') || serde_json::from_str::<serde_json::Value>(word).is_ok() {
            true => out.push_str(word),
            false => out.push_str(&as_json(word)),
        }
        rest = after;
    }
    out + rest
}

fn is_of_a_word(letter: char) -> bool {
    letter.is_alphanumeric() || "+-._#".contains(letter)
}

/// The length of the string that the text starts with, quotes included.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (index, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn as_json(word: &str) -> String {
    let finite = word.parse().ok().filter(|number: &f64| number.is_finite());
    finite.map_or_else(|| format!("\"{word}\""), |number| format!("{number:?}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_invalid_number_costs_only_itself() {
        let cases = [
            ("[NaN, 1]", json!(["NaN", 1])),
            (
                "{\"a\": -Infinity, \"b\": 2}",
                json!({ "a": "-Infinity", "b": 2 }),
            ),
            ("[nan,inf]", json!(["nan", "inf"])),
            ("[1e999, 3]", json!(["1e999", 3])),
            ("[.5, +3, 007, 2.]", json!([0.5, 3.0, 7.0, 2.0])),
            ("[1.#IND, None]", json!(["1.#IND", "None"])),
            (
                r#"{"NaN \" NaN": NaN, "true": true}"#,
                json!({ "NaN \" NaN": "NaN", "true": true }),
            ),
            ("[\"Käse\", NaN]", json!(["Käse", "NaN"])),
            ("[1.5e-3, null, false]", json!([1.5e-3, null, false])),
        ];
        for (text, expected) in cases {
            let value: Value = parse(text).expect(text);
            assert_eq!(value, expected, "{text}");
        }
    }

    #[test]
    fn other_faults_are_reported_where_they_are() {
        for text in ["{\n\"a\": NaN,\n\"b\" 3}", "[\n\n", "\"open", "", "{\n\n]"] {
            assert!(parse::<Value>(text).is_err(), "{text}");
        }
        let error = parse::<Value>("[1,\n2,\n}").expect_err("invalid");
        assert_eq!(error.line(), 3);
    }
}
