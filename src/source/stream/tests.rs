//! Tests of streams as a source.

use image::Rgb;
use image::codecs::jpeg::JpegEncoder;

use super::*;

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let picture = RgbImage::from_pixel(width, height, Rgb([200, 30, 30]));
    let mut file = Vec::new();
    let encoder = JpegEncoder::new(&mut file);
    picture.write_with_encoder(encoder).expect("encoded");
    file
}

fn source(stream: &[u8], pace: StreamKind) -> StreamSource<&[u8]> {
    StreamSource::new("test", stream, pace, (640, 480))
}

#[test]
fn a_recording_has_moments_and_a_live_stream_has_none() {
    let mjpeg = jpeg(32, 24).repeat(3);
    let y4m = [&b"YUV4MPEG2 W2 H2 F10:1\n"[..], &b"FRAME\n......".repeat(3)].concat();
    for (stream, step) in [(mjpeg, 40), (y4m, 100)] {
        let mut recorded = source(&stream, StreamKind::Recording);
        let mut live = source(&stream, StreamKind::Live);
        for number in 0..3 {
            let frame = recorded.next_frame().expect("sound").expect("not the end");
            let moment = Duration::from_millis(number * step);
            assert_eq!((frame.sequence, frame.position), (number, Some(moment)));
            let frame = live.next_frame().expect("sound").expect("not the end");
            assert_eq!((frame.sequence, frame.position), (number, None));
        }
        assert!(recorded.next_frame().expect("sound").is_none());
        assert!(live.next_frame().expect("sound").is_none());
    }
}

#[test]
fn broken_frames_are_errors_that_go_on() {
    let (small, large) = (jpeg(32, 24), jpeg(64, 48));
    let mut damaged = small.clone();
    let scan = damaged.windows(2).position(|pair| pair == [0xff, 0xda]);
    damaged.drain(scan.expect("a scan") + 15..damaged.len() - 2);
    let stream = [&small[..], &large[..300], &large, &damaged, &small].concat();
    let mut source = source(&stream, StreamKind::Live);
    let mut told = Vec::new();
    loop {
        match source.next_frame() {
            Ok(None) => break,
            Ok(Some(frame)) => told.push(Some((frame.sequence, frame.image.width()))),
            Err(error) => {
                assert!(error.is_recoverable(), "{error}");
                let said = error.to_string();
                assert!(said.starts_with("test: a frame can't be read ("), "{said}");
                told.push(None);
            }
        }
    }
    let expected = [Some((0, 32)), None, Some((2, 64)), None, Some((4, 32))];
    assert_eq!(told, expected);
}

#[test]
fn a_large_jpeg_is_decoded_no_larger_than_needed() {
    let stream = jpeg(1920, 1080);
    let frame = source(&stream, StreamKind::Live).next_frame();
    let frame = frame.expect("sound").expect("not the end");
    assert_eq!(frame.image.dimensions(), (960, 540));
}

#[test]
fn what_is_no_stream_of_pictures_is_refused_with_words() {
    let text = b"Once upon a time".repeat(10);
    let flood = vec![0x47; 8 * mjpeg::MOST_GARBAGE];
    let h264 = [&[0, 0, 0, 1, 0x67][..], &[7; 100]].concat();
    let cases = [
        (text, "begins with the bytes 4f 6e 63 65"),
        (flood, "neither motion JPEG nor YUV4MPEG2"),
        (h264, "--codec mjpeg"),
        (b"x".to_vec(), "begins with the bytes 78)"),
        (b"YUV4MPEG2 W4 H4 C420p10\n".to_vec(), "-pix_fmt yuv420p"),
    ];
    for (stream, words) in cases {
        let mut source = source(&stream, StreamKind::Live);
        let Err(error) = source.next_frame() else {
            panic!("{words}");
        };
        assert!(!error.is_recoverable(), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(
        source(b"", StreamKind::Live)
            .next_frame()
            .expect("well")
            .is_none()
    );
}

#[test]
fn random_damage_never_ends_a_stream_early() {
    let mut random = fastrand::Rng::with_seed(3);
    let y4m = [
        &b"YUV4MPEG2 W8 H8\n"[..],
        &[b"FRAME\n", &[90; 96][..]].concat().repeat(40),
    ]
    .concat();
    // Long enough: a damaged length of a segment may take 64 KiB with it.
    for stream in [jpeg(64, 48).repeat(200), y4m] {
        for _ in 0..60 {
            let mut stream = stream.clone();
            for _ in 0..10 {
                let at = random.usize(100..stream.len());
                match random.u8(..3) {
                    0 => stream[at] = random.u8(..),
                    1 => drop(stream.drain(at..(at + random.usize(..90)).min(stream.len()))),
                    _ => drop(stream.splice(at..at, [0xff, 0xd8, 0xff, 0xda])),
                }
            }
            let mut source = source(&stream, StreamKind::Live);
            let mut frames = 0;
            loop {
                match source.next_frame() {
                    Ok(None) => break,
                    Ok(Some(_)) => frames += 1,
                    Err(error) => assert!(error.is_recoverable(), "{error}"),
                }
            }
            assert!(frames >= 3, "{frames}");
        }
    }
}
