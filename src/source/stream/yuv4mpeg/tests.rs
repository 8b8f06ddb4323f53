//! Tests of the raw pictures of a YUV4MPEG2 stream.

use image::Rgb;

use super::*;

/// YuvMatrix of a test card, as YUV with limited range, with full range, and as RGB.
const COLOURS: [([u8; 3], [u8; 3], [u8; 3]); 7] = [
    ([16, 128, 128], [0, 128, 128], [0, 0, 0]),
    ([235, 128, 128], [255, 128, 128], [255, 255, 255]),
    ([81, 90, 240], [76, 85, 255], [254, 0, 0]),
    ([145, 54, 34], [150, 44, 21], [0, 255, 1]),
    ([41, 240, 110], [29, 255, 107], [0, 0, 254]),
    ([210, 16, 146], [226, 1, 149], [255, 255, 0]),
    ([170, 166, 16], [179, 171, 1], [1, 255, 255]),
];

/// All that a stream has, a picture each or what is wrong.
fn read(stream: &[u8]) -> Vec<Result<RgbImage, String>> {
    let (mut buffer, mut header) = (Buffer::new(stream), None);
    let mut found = Vec::new();
    loop {
        match next(&mut buffer, &mut header).expect("readable") {
            Chunk::Picture { begin, end } => {
                let header = header.as_ref().expect("a header");
                let picture = header.picture(&buffer.bytes()[begin..end]);
                found.push(Ok(picture.expect("whole")));
                buffer.consume(end);
            }
            Chunk::Broken(message) => found.push(Err(message)),
            Chunk::Refused(message) => {
                found.push(Err(message));
                return found;
            }
            Chunk::End => return found,
        }
    }
}

/// A picture of one colour with so many samples of it.
fn plain(line: &str, [y, u, v]: [u8; 3], luma: usize, chroma: usize) -> Vec<u8> {
    let planes = [vec![y; luma], vec![u; chroma], vec![v; chroma]].concat();
    [line.as_bytes(), &planes].concat()
}

#[track_caller]
fn assert_near(picture: &RgbImage, expected: [u8; 3]) {
    for Rgb(pixel) in picture.pixels() {
        let mut pairs = pixel.iter().zip(expected);
        assert!(
            pairs.all(|(a, b)| a.abs_diff(b) <= 3),
            "{pixel:?}, not {expected:?}"
        );
    }
}

#[test]
fn every_chroma_gives_the_colours_at_odd_sizes_too() {
    // Samples of colour in a picture of 5 x 3.
    let chromas = [
        ("", 6),
        (" C420", 6),
        (" C420jpeg", 6),
        (" C420mpeg2", 6),
        (" C420paldv", 6),
        (" C411", 6),
        (" C422", 9),
        (" C444", 15),
    ];
    for (chroma, samples) in chromas {
        for (limited, full, rgb) in COLOURS {
            for (range, yuv) in [("", limited), (" XCOLORRANGE=FULL", full)] {
                let head = format!("YUV4MPEG2 W5 H3 F30:1 It A1:1{chroma} XYSCSS=X{range}\n");
                let frame = plain("FRAME\n", yuv, 15, samples);
                let pictures = read(&[head.as_bytes(), &frame, &frame].concat());
                assert_eq!(pictures.len(), 2, "{head}");
                for picture in pictures {
                    let picture = picture.expect("sound");
                    assert_eq!(picture.dimensions(), (5, 3));
                    assert_near(&picture, rgb);
                }
            }
        }
    }
    let frame = plain("FRAME Ip\n", [126, 0, 0], 15, 0);
    let pictures = read(&[b"YUV4MPEG2 W5 H3 Cmono\n", frame.as_slice()].concat());
    assert_near(pictures[0].as_ref().expect("sound"), [128; 3]);
}

#[test]
fn each_pixel_has_its_own_brightness_and_its_places_colour() {
    // The left half red, the right half blue, the second row black.
    let stream = b"YUV4MPEG2 W4 H2\nFRAME\n\x51\x51\x29\x29\x10\x10\x10\x10\x5a\xf0\xf0\x6e";
    let pictures = read(stream);
    let picture = pictures[0].as_ref().expect("sound");
    let [left, right] = [1, 2].map(|x| picture.get_pixel(x, 0).0);
    assert!(left[0] > 250 && left[2] < 5, "{left:?}");
    assert!(right[2] > 250 && right[0] < 5, "{right:?}");
    assert!(picture.get_pixel(0, 1)[0] < left[0]);
}

#[test]
fn the_rate_gives_each_picture_its_moment() {
    let header = |line: &str| Header::parse(line.as_bytes()).expect("sound");
    let ntsc = header("W4 H2 F30000:1001");
    assert_eq!(ntsc.moment(30_000), Some(Duration::from_secs(1001)));
    assert_eq!(header("W4 H2").moment(5), None);
    assert_eq!(header("W4 H2 F0:0").moment(5), None);
    assert_eq!(header("W4 H2 F1:4294967295").moment(u64::MAX), None);
}

#[test]
fn headers_that_cannot_be_are_refused_with_words() {
    let cases = [
        ("H4", "lacks W or H"),
        ("Wx H4", "lacks W or H"),
        ("W0 H4", "0 x 4 pixels"),
        ("W100000 H100000", "100000 x 100000 pixels"),
        ("W4 H4 C420p10", "C420p10, which boxcam can't read"),
        ("W4 H4 C444alpha", "-pix_fmt yuv420p"),
        ("\u{fffd}", "lacks W or H"),
    ];
    for (line, fault) in cases {
        let stream = format!("YUV4MPEG2 {line}\nFRAME\n");
        let [Err(message)] = &read(stream.as_bytes())[..] else {
            panic!("{line}");
        };
        assert!(message.contains(fault), "{message}");
    }
}

#[test]
fn after_damage_the_next_picture_is_found() {
    let head = b"YUV4MPEG2 W4 H2 F25:1\n".as_slice();
    let frame = plain("FRAME\n", [81, 90, 240], 8, 2);
    let sound = |stream: &[u8]| read(stream).into_iter().filter_map(Result::ok).count();
    for cut in 1..frame.len() {
        let stream = [head, &frame[..cut], &frame, &frame, &frame].concat();
        let found = read(&stream);
        assert!(sound(&stream) >= 2, "cut after {cut}: {found:?}");
        assert!(found.len() <= 5, "cut after {cut}: {found:?}");
        let last = found.last().and_then(|last| last.as_ref().ok());
        assert_near(last.expect("sound"), [254, 0, 0]);
    }
    // A surplus, garbage, a half frame at the end.
    let stream = [head, &frame, &[9; 3000], &frame, &frame[..10]].concat();
    let found = read(&stream);
    let kinds: Vec<bool> = found.iter().map(Result::is_ok).collect();
    assert_eq!(kinds, [true, false, true, false], "{found:?}");
    let line_without_end = [head, &frame, &b"FRAME "[..], &[b'x'; 5000], &frame].concat();
    assert_eq!(sound(&line_without_end), 2);
}

#[test]
fn a_stream_may_begin_anew_with_another_size() {
    let small = [
        b"YUV4MPEG2 W4 H2\n",
        &plain("FRAME\n", [16, 128, 128], 8, 2)[..],
    ]
    .concat();
    let large = [
        b"YUV4MPEG2 W6 H4\n",
        &plain("FRAME\n", [16, 128, 128], 24, 6)[..],
    ]
    .concat();
    let found = read(&[small, large].concat());
    let sizes = found
        .iter()
        .map(|one| one.as_ref().expect("sound").dimensions());
    assert_eq!(sizes.collect::<Vec<_>>(), [(4, 2), (6, 4)]);
}
