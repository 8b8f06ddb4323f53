use std::io::Cursor;

use boxcam::scene::random_scene;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};

use super::*;

fn recompressed(image: &RgbImage, quality: u8) -> RgbImage {
    let mut bytes = Cursor::new(Vec::new());
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    image.write_with_encoder(encoder).expect("encoded");
    image::load_from_memory(bytes.get_ref())
        .expect("decoded")
        .into_rgb8()
}

#[test]
fn copies_are_found_and_others_are_not() {
    let scenes: Vec<RgbImage> = (0..40)
        .map(|seed| random_scene(seed, 160, 120).image)
        .collect();
    let prints: Vec<Fingerprint> = scenes.iter().map(Fingerprint::of).collect();
    let (mut of_copies, mut of_others) = (0.0_f32, f32::INFINITY);
    for (index, (scene, print)) in scenes.iter().zip(&prints).enumerate() {
        assert_eq!(
            print.likeness(&Fingerprint::of(scene)),
            Some(Likeness::Exact)
        );
        let half = resize(scene, 80, 60, FilterType::Triangle);
        let copies = [
            recompressed(scene, 60),
            recompressed(scene, 30),
            recompressed(&half, 60),
            half,
            resize(scene, 331, 250, FilterType::CatmullRom),
            // Over the size at which the way to the small picture changes.
            resize(scene, 1100, 825, FilterType::CatmullRom),
            RgbImage::from_fn(160, 120, |x, y| {
                image::Rgb(scene.get_pixel(x, y).0.map(|value| value.saturating_add(3)))
            }),
        ];
        for (copy, image) in copies.iter().enumerate() {
            let other = Fingerprint::of(image);
            of_copies = of_copies.max(print.difference(&other));
            let likeness = print.likeness(&other);
            assert_eq!(likeness, Some(Likeness::Near), "scene {index}, copy {copy}");
        }
        for other in prints.iter().skip(index + 1) {
            of_others = of_others.min(print.difference(other));
            assert_eq!(print.likeness(other), None, "scene {index}");
        }
    }
    println!("copies differ by up to {of_copies:.2}, other scenes by {of_others:.2} and more");
}

#[test]
fn noise_on_a_plain_ground_hides_no_copy_and_makes_none() {
    let split = |at: u32, noise: u8| {
        RgbImage::from_fn(64, 64, |x, y| {
            let grey = if y < at { 20 } else { 220 };
            image::Rgb([grey + noise * ((x * 7 + y * 13) % 3) as u8; 3])
        })
    };
    let print = Fingerprint::of(&split(16, 0));
    let noisy = Fingerprint::of(&split(16, 2));
    assert_eq!(print.likeness(&noisy), Some(Likeness::Near));
    assert_eq!(print.likeness(&Fingerprint::of(&split(48, 0))), None);
}

#[test]
fn groups_reach_by_way_of_others() {
    let pair = |first, second| Pair {
        first,
        second,
        likeness: Likeness::Near,
    };
    assert_eq!(
        groups(6, &[pair(0, 4), pair(2, 3), pair(3, 4)]),
        [0, 1, 0, 0, 0, 5]
    );
}
