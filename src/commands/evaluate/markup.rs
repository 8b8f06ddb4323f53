//! Words into HTML and SVG.

use std::fmt::Write as _;

/// A text as it may stand between tags and in quoted attributes: names of classes, folders and files may have
/// anything in them.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // No document may hold these, whichever way they are written.
            letter if letter.is_control() && !letter.is_whitespace() => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A share with four digits; a dash where there is none.
pub(super) fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
}

/// A section with a heading, what it tells, and its parts.
pub(super) fn section(heading: &str, words: &str, parts: &str) -> String {
    let mut text = format!("<section>\n<h2>{}</h2>\n", escaped(heading));
    if !words.is_empty() {
        let _ = writeln!(text, "<p>{}</p>", escaped(words));
    }
    text + parts + "</section>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_taken_for_markup() {
        let name = "<script>\"a\" & 'b'\u{0}";
        let safe = "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;\u{fffd}";
        assert_eq!(escaped(name), safe);
        assert!(section(name, name, "").contains(&format!("<h2>{safe}</h2>\n<p>{safe}</p>")));
    }
}
