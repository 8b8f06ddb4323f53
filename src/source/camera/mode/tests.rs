use std::time::Duration;

use super::*;
use crate::source::camera::offer::{RateRange, SizeRange};

const VGA: CaptureRequest = CaptureRequest {
    width: 640,
    height: 480,
    fps: 30,
    timeout: Duration::from_secs(1),
};

/// A size, and the times of a frame in seconds as numerator and denominator.
type ListedSize = ((u32, u32), &'static [(u32, u32)]);

/// A format and its sizes.
type Listed = (&'static [u8; 4], &'static [ListedSize]);

/// Format, width, height and frames a second.
type Row = (&'static str, u32, u32, &'static str);

fn rate((numerator, denominator): (u32, u32)) -> FrameRate {
    FrameRate::of_interval(numerator, denominator).expect("a rate")
}

fn offers(listed: &[Listed]) -> Vec<FormatCapabilities> {
    let sizes = |sizes: &[ListedSize]| {
        let offer = |((width, height), intervals): &ListedSize| FrameSizes {
            sizes: SizeRange::One(*width, *height),
            rates: intervals
                .iter()
                .map(|&it| RateRange::One(rate(it)))
                .collect(),
        };
        sizes.iter().map(offer).collect()
    };
    let format = |(code, listed): &Listed| FormatCapabilities {
        code: **code,
        description: String::new(),
        sizes: sizes(listed),
    };
    listed.iter().map(format).collect()
}

#[track_caller]
fn assert_best(offered: &[FormatCapabilities], wanted: &CaptureRequest, expected: Row, name: &str) {
    let best = ranked(offered, wanted).into_iter().next().expect(name);
    let rate = best.rate.map_or(String::new(), |rate| rate.to_string());
    let found = (best.format.name(), best.width, best.height, rate.as_str());
    assert_eq!(found, expected, "{name}");
}

#[test]
fn the_mode_nearest_to_640_by_480_at_30_is_taken() {
    let cases: [(&str, &[Listed], Row); 8] = [
        (
            "a common USB camera",
            &[
                (
                    b"MJPG",
                    &[((1920, 1080), &[(1, 30)]), ((640, 480), &[(1, 30)])],
                ),
                (
                    b"YUYV",
                    &[
                        ((640, 480), &[(1, 30)]),
                        ((1280, 720), &[(1, 10)]),
                        ((160, 120), &[(1, 30)]),
                    ],
                ),
            ],
            ("YUYV", 640, 480, "30"),
        ),
        (
            "raw pixels only at a low rate",
            &[
                (b"YUYV", &[((640, 480), &[(1, 10)])]),
                (b"MJPG", &[((640, 480), &[(1, 30)])]),
            ],
            ("MJPEG", 640, 480, "30"),
        ),
        (
            "many rates",
            &[(b"YUYV", &[((640, 480), &[(1, 5), (1, 60), (1, 30)])])],
            ("YUYV", 640, 480, "30"),
        ),
        (
            "rates of television",
            &[(b"YUYV", &[((720, 480), &[(1001, 15000), (1001, 30000)])])],
            ("YUYV", 720, 480, "29.97"),
        ),
        (
            "no mode near",
            &[(
                b"MJPG",
                &[
                    ((320, 240), &[(1, 30)]),
                    ((3840, 2160), &[(1, 30)]),
                    ((1280, 720), &[(1, 30)]),
                ],
            )],
            ("MJPEG", 1280, 720, "30"),
        ),
        (
            "colour goes before size",
            &[
                (b"GREY", &[((640, 480), &[(1, 30)])]),
                (b"NV12", &[((1280, 720), &[(1, 15)])]),
            ],
            ("NV12", 1280, 720, "15"),
        ),
        (
            "a little less beats far too much",
            &[
                (b"NV12", &[((1920, 1080), &[(1, 30)])]),
                (b"RGB3", &[((640, 360), &[(1, 30)])]),
            ],
            ("RGB", 640, 360, "30"),
        ),
        (
            "better grey than nothing",
            &[
                (b"H264", &[((640, 480), &[(1, 30)])]),
                (b"GREY", &[((640, 480), &[(1, 30)])]),
            ],
            ("grey", 640, 480, "30"),
        ),
    ];
    for (name, listed, expected) in cases {
        assert_best(&offers(listed), &VGA, expected, name);
    }
}

#[test]
fn another_wish_takes_another_mode() {
    let camera = offers(&[
        (
            b"YUYV",
            &[((640, 480), &[(1, 30)]), ((1280, 720), &[(1, 10), (1, 5)])],
        ),
        (
            b"MJPG",
            &[((640, 480), &[(1, 60), (1, 30)]), ((1280, 720), &[(1, 30)])],
        ),
    ]);
    let wish = |width, height, fps| CaptureRequest {
        width,
        height,
        fps,
        ..VGA
    };
    let hd = ("MJPEG", 1280, 720, "30");
    assert_best(&camera, &wish(1280, 720, 30), hd, "large and fast");
    let slow = ("YUYV", 1280, 720, "5");
    assert_best(&camera, &wish(1280, 720, 5), slow, "large and slow");
    let fast = ("MJPEG", 640, 480, "60");
    assert_best(&camera, &wish(640, 480, 60), fast, "fast");
}

#[test]
fn sizes_in_steps_give_the_wanted_one() {
    let stepwise = |max, step, rates| {
        vec![FormatCapabilities {
            code: *b"YU12",
            description: String::new(),
            sizes: vec![FrameSizes {
                sizes: SizeRange::Between {
                    min: (32, 32),
                    max,
                    step,
                },
                rates,
            }],
        }]
    };
    // The Raspberry Pi's older driver: any even size, any rate up to 90.
    let board = stepwise(
        (2592, 1944),
        (2, 2),
        vec![RateRange::Between(rate((1, 1)), rate((1, 90)))],
    );
    assert_best(&board, &VGA, ("YU12", 640, 480, "30"), "a board's camera");
    let unrated = stepwise((1280, 800), (16, 16), Vec::new());
    assert_best(&unrated, &VGA, ("YU12", 640, 480, ""), "without rates");
    let small = stepwise((352, 288), (32, 32), vec![RateRange::One(rate((1, 15)))]);
    assert_best(&small, &VGA, ("YU12", 352, 288, "15"), "too small");
    let silent = vec![FormatCapabilities {
        code: *b"UYVY",
        description: String::new(),
        sizes: Vec::new(),
    }];
    assert_best(&silent, &VGA, ("UYVY", 640, 480, ""), "without sizes");
}

#[test]
fn nonsense_is_not_taken() {
    assert_eq!(
        ranked(&offers(&[(b"YUYV", &[((0, 480), &[(1, 30)])])]), &VGA),
        []
    );
    assert_eq!(
        ranked(&offers(&[(b"H264", &[((640, 480), &[(1, 30)])])]), &VGA),
        []
    );
    assert_eq!(ranked(&[], &VGA), []);
}
