use image::{Rgb, RgbImage};

use super::*;

const SIZE: (u32, u32) = (320, 240);

/// A scene with texture under light that changes, seen with the noise of a sensor.
struct Camera {
    random: fastrand::Rng,
    /// Standard deviation of a pixel, in levels.
    noise: f32,
    gate: MotionGate,
}

impl Camera {
    fn new(noise: f32) -> Self {
        Self {
            random: fastrand::Rng::with_seed(7),
            noise,
            gate: MotionGate::new(),
        }
    }

    fn picture(&mut self, scene: impl Fn(u32, u32) -> f32) -> RgbImage {
        RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
            let random = &mut self.random;
            let normal = (0..4).map(|_| random.f32()).sum::<f32>() * 1.732 - 3.464;
            let value = scene(x, y) + self.noise * normal;
            Rgb([value.round().clamp(0.0, 255.0) as u8; 3])
        })
    }

    fn compare(&mut self, scene: impl Fn(u32, u32) -> f32) -> Comparison {
        let picture = self.picture(scene);
        self.gate.compare(&Arc::new(LumaGrid::of(&picture)))
    }

    /// Shows a still scene until the noise is known; the last frame is the reference.
    fn settle(&mut self) {
        for _ in 0..20 {
            self.compare(room);
            self.gate.set_reference();
        }
    }
}

/// A room: a gradient, a dark and a bright wall, a pattern.
fn room(x: u32, y: u32) -> f32 {
    let wall = if x < 100 { 40.0 } else { 90.0 + y as f32 / 4.0 };
    wall + if (x / 9 + y / 7).is_multiple_of(2) {
        20.0
    } else {
        0.0
    }
}

/// The room with a thing of this side in pixels.
fn with_thing(side: u32, contrast: f32) -> impl Fn(u32, u32) -> f32 {
    move |x, y| {
        let is_thing = (150..150 + side).contains(&x) && (101..101 + side).contains(&y);
        room(x, y) + if is_thing { contrast } else { 0.0 }
    }
}

#[test]
fn noise_alone_is_still() {
    for noise in [0.0, 1.0, 4.0, 12.0] {
        let mut camera = Camera::new(noise);
        camera.settle();
        for frame in 0..150 {
            let found = camera.compare(room);
            assert_eq!(found, Comparison::Still, "noise {noise}, frame {frame}");
        }
    }
}

#[test]
fn a_small_thing_is_seen_in_its_first_frame() {
    for (noise, side, contrast) in [
        (1.0, 8, 30.0),
        (4.0, 12, 40.0),
        (4.0, 12, -40.0),
        (12.0, 24, 40.0),
    ] {
        let mut camera = Camera::new(noise);
        camera.settle();
        let Comparison::Moved(areas) = camera.compare(with_thing(side, contrast)) else {
            panic!("a thing of {side} pixels with noise {noise} is not seen");
        };
        let [x_min, x_max, y_min, y_max] = areas[0].bounding_box.corners();
        let (x, y) = (156.0 / 320.0, 107.0 / 240.0);
        assert!(
            x_min < x && x < x_max && y_min < y && y < y_max,
            "{areas:?}"
        );
        assert!(areas[0].bounding_box.area() < 0.06, "{areas:?}");
    }
}

#[test]
fn a_thing_that_stays_is_still_once_it_is_in_the_reference() {
    let mut camera = Camera::new(4.0);
    camera.settle();
    assert!(matches!(
        camera.compare(with_thing(30, 40.0)),
        Comparison::Moved(_)
    ));
    camera.gate.set_reference();
    for _ in 0..20 {
        assert_eq!(camera.compare(with_thing(30, 40.0)), Comparison::Still);
    }
    assert!(
        matches!(camera.compare(room), Comparison::Moved(_)),
        "it has gone"
    );
}

#[test]
fn a_ramp_of_brightness_is_still_and_a_thing_in_it_is_seen() {
    let mut camera = Camera::new(2.0);
    camera.settle();
    for frame in 0..50 {
        let gain = 1.0 - 0.004 * frame as f32;
        let found = camera.compare(|x, y| room(x, y) * gain);
        assert_eq!(found, Comparison::Still, "frame {frame}");
    }
    let found = camera.compare(|x, y| with_thing(24, 40.0)(x, y) * 0.8);
    assert!(matches!(found, Comparison::Moved(_)), "{found:?}");
}

#[test]
fn a_lamp_that_flickers_is_still_and_a_thing_under_it_is_seen() {
    let mut camera = Camera::new(2.0);
    let flicker = |frame: u32, y: u32| 1.0 + 0.12 * (y as f32 / 40.0 + frame as f32 * 2.1).sin();
    for frame in 0..20 {
        camera.compare(|x, y| room(x, y) * flicker(frame, y));
        camera.gate.set_reference();
    }
    for frame in 20..120 {
        let found = camera.compare(|x, y| room(x, y) * flicker(frame, y));
        assert_eq!(found, Comparison::Still, "frame {frame}");
    }
    let found = camera.compare(|x, y| with_thing(24, 50.0)(x, y) * flicker(120, y));
    assert!(matches!(found, Comparison::Moved(_)), "{found:?}");
}

#[test]
fn light_that_is_switched_is_a_change_once() {
    let mut camera = Camera::new(2.0);
    camera.settle();
    let dark = |x, y| room(x, y) * 0.4;
    assert!(matches!(camera.compare(dark), Comparison::Moved(_)));
    camera.gate.set_reference();
    for _ in 0..10 {
        assert_eq!(camera.compare(dark), Comparison::Still);
    }
}

#[test]
fn a_camera_that_turns_is_never_still() {
    let mut camera = Camera::new(2.0);
    for frame in 0..200 {
        let found = camera.compare(|x, y| room(x + 2 * frame, y));
        assert_ne!(found, Comparison::Still, "frame {frame}");
        camera.gate.set_reference();
    }
}

#[test]
fn the_first_frame_and_another_size_are_unknown() {
    let mut camera = Camera::new(2.0);
    assert_eq!(camera.compare(room), Comparison::Unknown);
    camera.settle();
    assert_eq!(camera.compare(room), Comparison::Still);
    let other = Arc::new(LumaGrid::of(&RgbImage::new(64, 48)));
    assert_eq!(camera.gate.compare(&other), Comparison::Unknown);
    assert_eq!(camera.compare(room), Comparison::Unknown, "and back");
}
