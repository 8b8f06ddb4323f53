//! The known name that a mistyped one is most like.

/// The name that is spelt most alike, in lower case, if less than half of its letters differ.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let rated = known.into_iter().filter_map(|known| {
        let distance = edit_distance(&name, &known.to_lowercase());
        (2 * distance < known.chars().count()).then_some((distance, known))
    });
    let nearest = rated.min_by_key(|(distance, _)| *distance);
    nearest.map(|(_, known)| known)
}

/// The clause of a message that suggests a name; empty without one.
#[must_use]
pub fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!(" (did you mean \"{nearest}\"?)")
    })
}

/// The least number of letters to insert, remove or replace (Levenshtein, 1965).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edit_distance_counts_letters() {
        let cases = [
            ("", "", 0),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ];
        for (a, b, expected) in cases {
            assert_eq!(
                (edit_distance(a, b), edit_distance(b, a)),
                (expected, expected)
            );
        }
    }

    #[test]
    fn only_a_name_that_is_alike_is_nearest() {
        let known = ["coco", "snacks", "snacks-small"];
        for (name, expected) in [
            ("cocoo", Some("coco")),
            ("SNACK", Some("snacks")),
            ("snacks_small", Some("snacks-small")),
            ("yolo", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
        assert_eq!(suggestion(Some("coco")), " (did you mean \"coco\"?)");
        assert_eq!(suggestion(None), "");
    }
}
