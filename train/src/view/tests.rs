use boxcam::geometry::iou;
use image::Rgb;

use super::*;

/// A white square on black; its box, and the box of what is white in a picture.
fn square() -> (RgbImage, NormBox) {
    let truth = NormBox::new(0.3, 0.7, 0.2, 0.5).expect("sound");
    let inside = |v: u32, low: u32, high: u32| (low..high).contains(&v);
    let picture = RgbImage::from_fn(400, 300, |x, y| {
        Rgb([if inside(x, 120, 280) && inside(y, 60, 150) {
            255
        } else {
            0
        }; 3])
    });
    (picture, truth)
}

/// The recipe `full` with so many cached augmentations.
fn cached(count: usize) -> Recipe {
    Recipe {
        cached_augmentations: count,
        ..Recipe::named("full").expect("built in")
    }
}

fn white(picture: &RgbImage) -> NormBox {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let lit = || picture.enumerate_pixels().filter(|(_, _, p)| p.0[0] > 127);
    let (xs, ys) = (|| lit().map(|p| p.0), || lit().map(|p| p.1));
    let least = |v: Option<u32>| v.expect("some white") as f32;
    let end = |v: Option<u32>| v.expect("some white") as f32 + 1.0;
    NormBox::new(
        least(xs().min()) / width,
        end(xs().max()) / width,
        least(ys().min()) / height,
        end(ys().max()) / height,
    )
    .expect("sound")
}

#[test]
fn the_box_goes_where_the_pixels_go() {
    let (picture, truth) = square();
    let random = &mut Rng::with_seed(5);
    for mut view in View::several(&cached(60), Some(&truth), random) {
        view.window.around = [0; 3];
        view.hidden = None;
        let moved = view.of_box(&truth).expect("most of it is kept");
        let overlap = iou(&moved, &white(&view.of(&picture)));
        assert!(overlap > 0.95, "{view:?}: {overlap}");
    }
}

#[test]
fn the_first_view_is_the_picture_itself() {
    let (picture, truth) = square();
    let views = View::several(&cached(3), Some(&truth), &mut Rng::with_seed(1));
    assert_eq!(views.len(), 3);
    assert_eq!(views[0].of(&picture), picture);
    assert_eq!(views[0].of_box(&truth), Some(truth));
    assert!(views[1].mirrored && views[1].window == Window::WHOLE);
}

#[test]
fn a_patch_hides_a_part_of_the_box_at_most() {
    let (_, truth) = square();
    let views = View::several(&cached(400), Some(&truth), &mut Rng::with_seed(7));
    let white = RgbImage::from_pixel(200, 100, Rgb([255; 3]));
    let mut hidden = 0;
    for view in views {
        let Some(patch) = view.hidden else { continue };
        hidden += 1;
        let seen = view.of_box(&truth).expect("most of it is kept");
        assert!(patch.hides(&seen) <= 0.4, "{view:?}");
        let (mut shown, mut covered) = (white.clone(), white.clone());
        patch.draw(&mut shown);
        let [x_min, x_max, y_min, y_max] = patch.place.corners();
        for (x, y, pixel) in covered.enumerate_pixels_mut() {
            let (x, y) = ((x as f32 + 0.5) / 200.0, (y as f32 + 0.5) / 100.0);
            if (x_min..x_max).contains(&x) && (y_min..y_max).contains(&y) {
                pixel.0 = patch.colour;
            }
        }
        assert!(shown == covered, "{patch:?}");
    }
    assert!((50..150).contains(&hidden), "{hidden} of 400");
}

#[test]
fn a_near_view_shows_nearly_all_of_the_picture() {
    let (picture, truth) = square();
    let random = &mut Rng::with_seed(3);
    let mut mirrored = 0;
    for _ in 0..100 {
        let view = View::near(random);
        mirrored += usize::from(view.mirrored);
        assert_eq!(view.hidden, None);
        let seen = view.of(&picture);
        assert!(seen.width() >= 339 && seen.height() >= 254, "{view:?}");
        assert!(seen.width() <= 400 && seen.height() <= 300, "{view:?}");
        let moved = view.of_box(&truth).expect("in the middle");
        assert!(moved.area() >= truth.area() - 1e-6, "{view:?}");
    }
    assert!((30..70).contains(&mirrored), "{mirrored}");
}

#[test]
fn a_box_outside_the_crop_is_gone() {
    let view = View {
        window: Window {
            x: (0.5, 1.0),
            ..Window::WHOLE
        },
        ..View::PLAIN
    };
    let left = NormBox::new(0.1, 0.4, 0.1, 0.4).expect("sound");
    assert_eq!(view.of_box(&left), None);
}
