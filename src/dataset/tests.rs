//! Rows of the CSV and the pictures that they name.

use std::path::Path;

use image::RgbImage;
use tempfile::TempDir;

use super::*;

const HEADER: &str = "image_id,x_min,x_max,y_min,y_max,class_name,folder\n";

fn folder_with(pictures: &[&str]) -> TempDir {
    let root = tempfile::tempdir().expect("a folder");
    for name in pictures {
        let path = root.path().join("train").join(name);
        std::fs::create_dir_all(path.parent().expect("has one")).expect("made");
        let format = image::ImageFormat::Png;
        let picture = RgbImage::new(100, 50);
        picture.save_with_format(path, format).expect("written");
    }
    root
}

fn read_in(root: &Path, csv: impl AsRef<[u8]>) -> Result<Dataset, DatasetError> {
    let file = root.join("boxes.csv");
    std::fs::write(&file, csv).expect("written");
    Dataset::read(&root.join("train"), &file)
}

/// The corners of the boxes of the only picture `train/cake/b.png`.
fn corners_of(csv: impl AsRef<[u8]>) -> Vec<[f32; 4]> {
    let root = folder_with(&["cake/b.png"]);
    let dataset = read_in(root.path(), csv).expect("readable");
    assert!(dataset.issues.is_empty(), "{:?}", dataset.issues);
    let annotations = dataset.pictures[0].annotations.iter();
    annotations.map(|row| row.bounding_box.corners()).collect()
}

#[test]
fn columns_are_found_by_name_in_every_encoding_and_with_every_delimiter() {
    let text = "folder,extra,class_name,y_max,y_min,X_MAX,x_min,image_id\n\
                cake,9,Käse,0.4,0.1,1.0,0.8,b\n";
    let expected = [[0.8, 1.0, 0.1, 0.4]];
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let semicolons = text.replace(',', ";").replace('.', ",");
    let cases = [
        text.as_bytes().to_vec(),
        format!("\u{feff}{text}").into_bytes(),
        utf16,
        text.replace('\n', "\r\n").into_bytes(),
        text.replace('\n', "\r").into_bytes(),
        text.replace(',', "\t").into_bytes(),
        semicolons.into_bytes(),
        text.replace(',', " , ").into_bytes(),
    ];
    for csv in cases {
        let shown = String::from_utf8_lossy(&csv).into_owned();
        assert_eq!(corners_of(csv), expected, "{shown}");
    }
}

#[test]
fn rows_may_say_whether_their_picture_is_exhaustively_annotated() {
    let root = folder_with(&["cake/a.png", "cake/b.png", "cake/c.png", "cake/d.png"]);
    let header = "image_id,x_min,x_max,y_min,y_max,class_name,folder,Exhaustive\n";
    let row = |id: &str, exhaustive: &str| format!("{id},0,1,0,1,cake,cake,{exhaustive}\n");
    let rows = [
        row("a", "true"),
        row("a", ""),
        row("b", "TRUE"),
        row("b", "0"),
        row("c", ""),
        row("d", "maybe"),
    ];
    let dataset = read_in(root.path(), header.to_owned() + &rows.concat()).expect("readable");
    let pictures = dataset.pictures.iter();
    let found: Vec<_> = pictures
        .map(|picture| (picture.annotations.len(), picture.exhaustive))
        .collect();
    let expected = [(2, Some(true)), (2, Some(false)), (1, None), (0, None)];
    assert_eq!(found, expected);
    let [issue] = dataset.issues.as_slice() else {
        panic!("{:?}", dataset.issues);
    };
    let message = issue.to_string();
    let expected = "line 7: exhaustive is \"maybe\", expected true, false or nothing";
    assert!(message.contains(expected), "{message}");
    let without = read_in(root.path(), format!("{HEADER}a,0,1,0,1,cake,cake\n"));
    assert_eq!(without.expect("readable").pictures[0].exhaustive, None);
}

#[test]
fn a_missing_column_is_named() {
    let root = folder_with(&["cake/b.png"]);
    let refused = |csv: &str| read_in(root.path(), csv).expect_err("refused").to_string();
    let error = refused("image_id,x_min,x_max,y_min,class_name,folder\n");
    assert!(error.contains("no column \"y_max\""), "{error}");
    assert!(refused("").contains("no column \"image_id\""));
}

#[test]
fn boxes_are_normalized_before_they_are_checked() {
    let cases = [
        ("b,0.7,0.2,0.9,0.1,cake,cake", [0.2, 0.7, 0.1, 0.9]),
        ("b,-0.01,1.02,0,1.04,cake,cake", [0.0, 1.0, 0.0, 1.0]),
        ("b,0.1,1.0000001,0.1,0.5,cake,cake", [0.1, 1.0, 0.1, 0.5]),
        ("b,1e-1,5.0e-01,0.1,0.5,cake,cake", [0.1, 0.5, 0.1, 0.5]),
        ("b,\"0,1\",\"0,5\",0.1,0.5,cake,cake", [0.1, 0.5, 0.1, 0.5]),
    ];
    for (row, expected) in cases {
        assert_eq!(corners_of(format!("{HEADER}{row}\n")), [expected], "{row}");
    }
    let root = folder_with(&["cake/b.png"]);
    let csv = format!("{HEADER}{}\n", cases[0].0);
    let notes = read_in(root.path(), csv).expect("readable").notes;
    assert!(notes[0].contains("swapped in 1 rows"), "{notes:?}");
}

#[test]
fn a_picture_is_found_however_it_is_named() {
    let cases = [
        ("IMG_1", "mug", "mug/IMG_1.JPG"),
        ("IMG_1", "mug", "mug/IMG_1.Png"),
        ("img_1", "Mug", "mug/IMG_1.jpeg"),
        ("IMG_1.jpg", "mug", "mug/IMG_1.JPG"),
        ("IMG_1.png", "mug", "mug/IMG_1.jpg"),
        ("v1.2", "mug", "mug/v1.2.jpg"),
        ("train/mug/IMG_1", "mug", "mug/IMG_1.jpg"),
        ("train\\mug\\IMG_1.jpg", "train\\mug", "mug/IMG_1.jpg"),
        ("my%20mug", "coffee%20mug", "coffee mug/my mug.jpg"),
        ("Ka\u{308}se", "ka\u{308}se", "käse/Käse.jpg"),
        ("Käse", "käse", "ka\u{308}se/Ka\u{308}se.jpg"),
    ];
    for (id, folder, picture) in cases {
        let root = folder_with(&[picture]);
        let csv = format!("{HEADER}{id},0.1,0.5,0.1,0.5,mug,{folder}\n");
        let dataset = read_in(root.path(), csv).expect("readable");
        assert!(dataset.issues.is_empty(), "{id}: {:?}", dataset.issues);
        assert_eq!(dataset.pictures[0].annotations.len(), 1, "{id}");
    }
}

#[test]
fn the_most_literal_name_wins() {
    let root = folder_with(&[
        "mug/a.jpg",
        "mug/A.jpg",
        "mug/a.png",
        "mug/a%20.jpg",
        "mug/a .jpg",
    ]);
    for (id, picture) in [
        ("a", "mug/a.jpg"),
        ("A", "mug/A.jpg"),
        ("a.png", "mug/a.png"),
        ("a%20", "mug/a%20.jpg"),
    ] {
        let csv = format!("{HEADER}{id},0.1,0.5,0.1,0.5,mug,mug\n");
        let dataset = read_in(root.path(), csv).expect("readable");
        let mut annotated = dataset
            .pictures
            .iter()
            .filter(|p| !p.annotations.is_empty());
        let found = annotated.next().expect("one");
        assert!(found.path.ends_with(picture), "{id}: {found:?}");
    }
}

#[test]
fn invalid_rows_are_listed_and_the_others_kept() {
    let cases = [
        ("b,left,0.2,0.1,0.9,cake,cake", "x_min is \"left\""),
        ("b,0.1,0.2,0.1,NaN,cake,cake", "y_max is NaN"),
        ("b,0.1,inf,0.1,0.5,cake,cake", "x_max is inf"),
        ("b,0.1,0.2,0.1,1.5,cake,cake", "y_max is 1.5"),
        ("b,0.1,1.03,0.1,0.5,cake,cake", "x_max is 1.03"),
        ("b,0.1,0.2,0.1,0.5,,cake", "class_name is empty"),
        ("b,0.1,0.2,0.1", "has 4 fields, expected 7"),
        ("gone,0.1,0.2,0.1,0.5,cake,cake", "cake/gone.jpg is missing"),
    ];
    let valid = "b,0.1,0.2,0.1,0.9,cake,cake";
    let root = folder_with(&["cake/b.png"]);
    for (row, message) in cases {
        let csv = format!("{HEADER}{valid}\n{row}\n{valid}\n");
        let dataset = read_in(root.path(), csv).expect("readable");
        assert_eq!(dataset.pictures[0].annotations.len(), 2, "{row}");
        assert_eq!(dataset.skipped_rows().count(), 1, "{row}");
        let error = dataset.issues[0].to_string();
        assert!(
            error.contains("boxes.csv, line 3: ") && error.contains(message),
            "{error}"
        );
    }
    let latin = [HEADER.as_bytes(), b"b,0.1,0.2,0.1,0.9,K\xE4se,cake\n"].concat();
    let dataset = read_in(root.path(), latin).expect("readable");
    let error = dataset.issues[0].to_string();
    assert!(error.contains("line 2: is not UTF-8 text"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_broken_link_is_an_issue_and_the_rest_is_read() {
    use std::os::unix::fs::symlink;
    let root = folder_with(&["cake/b.png"]);
    let cake = root.path().join("train/cake");
    symlink("nowhere.jpg", cake.join("zz.jpg")).expect("linked");
    symlink("..", cake.join("loop")).expect("linked");
    std::fs::write(cake.join("._b.png"), "attributes").expect("written");
    let csv = format!("{HEADER}b,0.1,0.2,0.1,0.9,cake,cake\n");
    let dataset = read_in(root.path(), csv).expect("readable");
    assert_eq!((dataset.pictures.len(), dataset.issues.len()), (1, 1));
    let error = dataset.issues[0].to_string();
    assert!(error.contains("zz.jpg: can't be followed"), "{error}");
    assert_eq!(dataset.skipped_rows().count(), 0, "a link is no row");
}
