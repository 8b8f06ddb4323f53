//! The file names in annotations, as tools write them, and those of files.
//!
//! Annotations name pictures with paths of another machine, backslashes, URLs, percent-encoding or in another case than
//! the file has. [`spellings`] gives the names that are meant, [`fold`] what equal names have in common.

use percent_encoding::percent_decode_str;
use unicode_normalization::UnicodeNormalization as _;

use crate::text;

/// What a name in an annotation may mean: relative paths with slashes, the most literal first, each once.
#[must_use]
pub fn spellings(name: &str) -> Vec<String> {
    let literal = text::trim(name).to_owned();
    let mut found = vec![literal.clone()];
    let mut add = |spelling: String| {
        if !spelling.is_empty() && !found.contains(&spelling) {
            found.push(spelling);
        }
    };
    let slashes = literal.replace('\\', "/");
    let local = local_path(&slashes);
    let once = percent_decoded(&local);
    // A URL within a URL is encoded twice.
    let twice = percent_decoded(&once);
    for spelling in [slashes, local, once, twice] {
        let spelling = spelling.replace('\\', "/");
        let unprefixed = without_upload_prefix(&spelling);
        add(spelling);
        unprefixed.into_iter().for_each(&mut add);
    }
    found
}

/// The last component of a path with slashes or backslashes.
#[must_use]
pub fn file_name(path: &str) -> &str {
    path.trim_end_matches(['/', '\\'])
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default()
}

/// Equal for names that some system takes for the same: without regard to case and to the composition of letters (macOS
/// stores `ä` as `a` and a combining mark).
#[must_use]
pub fn fold(name: &str) -> String {
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// Without the scheme and host of a URL, its query and its fragment. The path in `?d=` (Label Studio's local files) is
/// what remains of such a URL.
fn local_path(name: &str) -> String {
    if let Some((_, path)) = name.split_once("?d=") {
        return path.split('&').next().unwrap_or_default().to_owned();
    }
    let path = name.split(['?', '#']).next().unwrap_or_default();
    path.split_once("://")
        .map_or(path, |(_, path)| path)
        .to_owned()
}

fn percent_decoded(name: &str) -> String {
    match percent_decode_str(name).decode_utf8() {
        Ok(decoded) => decoded.into_owned(),
        Err(_) => name.to_owned(),
    }
}

/// Without the eight hexadecimal digits that Label Studio puts in front of the names of uploaded files.
fn without_upload_prefix(path: &str) -> Option<String> {
    let file = file_name(path);
    let (prefix, rest) = file.split_once('-')?;
    let is_hash = prefix.len() == 8 && prefix.chars().all(|digit| digit.is_ascii_hexdigit());
    is_hash.then(|| format!("{}{rest}", &path[..path.len() - file.len()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meant_name_is_among_the_spellings() {
        let cases = [
            ("img0.jpg", "img0.jpg"),
            (" img0.jpg\r", "img0.jpg"),
            ("images\\img0.jpg", "images/img0.jpg"),
            ("..\\images\\img0.jpg", "../images/img0.jpg"),
            ("C:\\data\\images\\img0.jpg", "C:/data/images/img0.jpg"),
            ("images/my%20photo.jpg", "images/my photo.jpg"),
            ("k%C3%A4se.jpg", "käse.jpg"),
            ("my%2520photo.jpg", "my photo.jpg"),
            ("images%5Cimg0.jpg", "images/img0.jpg"),
            ("https://host/a/img0.jpg?raw=1#top", "host/a/img0.jpg"),
            ("file:///data/my%20photo.jpg", "/data/my photo.jpg"),
            ("s3://bucket/img0.jpg", "bucket/img0.jpg"),
            (
                "/data/local-files/?d=photos/my%20cup.jpg&x=1",
                "photos/my cup.jpg",
            ),
            (
                "/data/upload/3/1a2b3c4d-img0.jpg",
                "/data/upload/3/img0.jpg",
            ),
            ("100%.jpg", "100%.jpg"),
            ("what?.jpg", "what?.jpg"),
        ];
        for (name, meant) in cases {
            let found = spellings(name);
            assert!(found.iter().any(|one| one == meant), "{name}: {found:?}");
        }
        assert_eq!(spellings("my%20photo.jpg")[0], "my%20photo.jpg");
        assert_eq!(spellings("plain.jpg"), ["plain.jpg"]);
    }

    #[test]
    fn equal_names_fold_to_the_same() {
        for (a, b) in [
            ("IMG_1.JPG", "img_1.jpg"),
            ("Ka\u{308}se.jpg", "KÄSE.jpg"),
            ("杯子.jpg", "杯子.jpg"),
        ] {
            assert_eq!(fold(a), fold(b));
        }
        assert_ne!(fold("a.jpg"), fold("a.png"));
        assert_eq!(file_name("C:\\data\\a b.jpg"), "a b.jpg");
        assert_eq!(file_name("train/mug/"), "mug");
    }
}
