//! The snacks data set, if it is there: published counts, and how well copies are distinguished from other photos.

use std::io::Cursor;
use std::path::PathBuf;

use boxcam::picture;
use boxcam_train::dataset::duplicates::{self, Fingerprint, Similarity};
use boxcam_train::dataset::inspection::{Count, Inspection, IssueKind};
use boxcam_train::dataset::{self, DatasetFormat};
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};

/// The snacks; none where they are missing.
fn snacks() -> Option<PathBuf> {
    test_support::data("snacks")
}

fn recompressed(image: &RgbImage, quality: u8) -> RgbImage {
    let mut bytes = Cursor::new(Vec::new());
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    image.write_with_encoder(encoder).expect("encoded");
    image::load_from_memory(bytes.get_ref())
        .expect("decoded")
        .into_rgb8()
}

#[test]
fn the_published_counts_are_reproduced() {
    let Some(folder) = snacks() else { return };
    let (format, dataset) = dataset::read(&folder).expect("the snacks");
    assert_eq!(format, DatasetFormat::Chapter);
    let prints = duplicates::fingerprints(&dataset.pictures, 2, &|| ());
    let seen = Inspection::of(format, &dataset, &prints, 2);
    let count = |pictures, boxes| Count { pictures, boxes };
    assert_eq!(seen.splits["train"], count(4838, 7040));
    assert_eq!(seen.splits["val"], count(955, 1417));
    assert_eq!((seen.classes.len(), seen.max_boxes), (20, 33));
    // Looked at one by one: 13 pairs have the same pixels; muffins, pretzels, grapes, a doughnut and a carrot are
    // there as edited copies, and popcorn twice from one series.
    assert_eq!(seen.count(IssueKind::Leak), 3);
    assert_eq!(seen.count(IssueKind::DuplicatePicture), 16);
    assert_eq!(
        seen.count(IssueKind::Unreadable) + seen.count(IssueKind::SkippedAnnotation),
        0
    );
}

#[test]
fn copies_of_photos_are_distinguished_from_other_photos() {
    let Some(folder) = snacks() else { return };
    let (_, dataset) = dataset::read(&folder).expect("the snacks");
    let prints = duplicates::fingerprints(&dataset.pictures, 2, &|| ());
    let prints: Vec<Fingerprint> = prints
        .into_iter()
        .map(|print| print.expect("read"))
        .collect();
    let (mut of_copies, mut of_copies_share) = (0.0_f32, 0.0_f32);
    for (picture, print) in dataset.pictures.iter().zip(&prints).step_by(29) {
        let image = picture::open(&picture.path).expect("read");
        let (width, height) = image.dimensions();
        let half = resize(&image, width / 2, height / 2, FilterType::Triangle);
        let copies = [
            recompressed(&image, 60),
            recompressed(&image, 30),
            recompressed(&half, 60),
            half,
            resize(
                &image,
                width * 2 + 11,
                height * 2 + 9,
                FilterType::CatmullRom,
            ),
            RgbImage::from_fn(width, height, |x, y| {
                image::Rgb(image.get_pixel(x, y).0.map(|value| value.saturating_add(3)))
            }),
        ];
        for copy in copies {
            let copy = Fingerprint::of(&copy);
            let path = picture.path.display();
            assert_eq!(print.similarity(&copy), Some(Similarity::Near), "{path}");
            let contrast = print.contrast().max(copy.contrast());
            of_copies = of_copies.max(print.difference(&copy));
            of_copies_share = of_copies_share.max(print.difference(&copy) / contrast);
        }
    }
    let (mut found, mut others) = (0, Vec::new());
    for (index, print) in prints.iter().enumerate() {
        for other in &prints[index + 1..] {
            if print.similarity(other).is_some() {
                found += 1;
                continue;
            }
            let contrast = print.contrast().max(other.contrast());
            let difference = print.difference(other);
            others.push((difference / contrast.max(1.0), difference));
        }
    }
    assert_eq!(found, 19, "as many as an inspection tells");
    others.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!(
        "copies made here differ by up to {of_copies:.2}, {of_copies_share:.3} of their contrast"
    );
    println!(
        "those that are no copies, the likest first (share, difference): {:.3?}",
        &others[..5]
    );
}
