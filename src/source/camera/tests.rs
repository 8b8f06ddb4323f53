use super::*;

#[test]
fn no_camera_is_said_with_a_way_on() {
    let said = |paths: &[PathBuf]| {
        let opened = CameraSource::open_first(paths, &CaptureRequest::default());
        opened.err().expect("there is no camera").to_string()
    };
    let none = said(&[]);
    assert!(none.contains("there is no /dev/video*"), "{none}");
    assert!(none.contains("boxcam run --source demo"), "{none}");
    let others = said(&["/dev/null".into(), "/dev/zero".into()]);
    assert!(
        others.contains("no /dev/video* here is a camera"),
        "{others}"
    );
    let missing = said(&["/dev/video4000000".into(), "/dev/video4000001".into()]);
    for device in [
        "camera /dev/video4000000: can't be opened",
        "camera /dev/video4000001",
    ] {
        assert!(missing.contains(device), "{missing}");
    }
}

#[test]
fn each_choice_that_fails_says_what_was_asked_for() {
    let said = |choice: &str| {
        let choice: CameraChoice = choice.parse().expect(choice);
        let opened = CameraSource::open(&choice, &CaptureRequest::default());
        opened.err().expect("there is no such camera").to_string()
    };
    let gone = said("4000000");
    assert!(
        gone.starts_with("camera /dev/video4000000: can't be opened"),
        "{gone}"
    );
    let other = said("/dev/null");
    assert!(
        other.starts_with("camera /dev/null: is no video device"),
        "{other}"
    );
    let named = said("no camera is called that");
    assert!(named.contains("no camera here has this name"), "{named}");
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let format = |width, height, stride| DriverFormat {
        code: *b"YUYV",
        width,
        height,
        stride,
        colorspace: 0,
        encoding: 0,
        quantization: 0,
        is_well_known: true,
    };
    let layout =
        |(width, height, stride)| layout(&format(width, height, stride), PixelFormat::Yuyv);
    assert!(layout((640, 480, 1280)).is_ok() && layout((640, 480, 0)).is_ok());
    for wrong in [
        (0, 480, 0),
        (640, 0, 0),
        (u32::MAX, 1, 0),
        (1, 40_000, 0),
        (1, 1, u32::MAX),
    ] {
        assert!(layout(wrong).is_err(), "{wrong:?}");
    }
}
