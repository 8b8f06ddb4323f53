//! Command lines and configuration files.

use super::*;
use crate::camera_choice::CameraChoice;

fn parse_line(line: &str) -> Result<Command, OptionsError> {
    parse(line.split(' '), &[])
}

pub(super) fn run(line: &str) -> RunOptions {
    match parse_line(line) {
        Ok(Command::Run(run)) => *run,
        other => panic!("{other:?}"),
    }
}

#[test]
fn clap_accepts_the_definition() {
    Cli::command().debug_assert();
}

#[test]
fn run_has_defaults_for_all_options() {
    let defaults = run("boxcam run");
    assert_eq!(defaults.source, SourceChoice::Camera(CameraChoice::First));
    assert_eq!(
        (defaults.display, defaults.log),
        (DisplayChoice::Auto, LogChoice::Stdout)
    );
    let given = run(
        "boxcam run --source demo --display none --log out.jsonl --snapshots s --model m.onnx \
         --threshold 0.25 --frames 7",
    );
    assert_eq!(given.source, SourceChoice::Demo);
    assert_eq!(given.log, LogChoice::File("out.jsonl".into()));
    assert_eq!(given.model.threshold.map(Threshold::value), Some(0.25));
    assert_eq!(given.frames.map(NonZeroU64::get), Some(7));
}

#[test]
fn sources_are_parsed() {
    let source = |text: &str| text.parse::<SourceChoice>();
    let camera = |choice| Ok(SourceChoice::Camera(choice));
    assert_eq!(source("camera:2"), camera(CameraChoice::Number(2)));
    let by_id = "/dev/v4l/by-id/usb-Cam-index0";
    let expected = camera(CameraChoice::Device(by_id.into()));
    assert_eq!(source(&format!("camera:{by_id}")), expected);
    assert_eq!(source("auto"), camera(CameraChoice::First));
    let named = CameraChoice::Named("front".to_owned());
    assert_eq!(source("camera:front"), camera(named));
    assert!(source("camera:").is_err() && source("rpicam:left").is_err());
    assert!(source("").is_err());
    assert_eq!(source("-"), Ok(SourceChoice::Stdin));
    let photographs = SourceChoice::DemoPhotographs("my photos".into());
    assert_eq!(source("demo:my photos"), Ok(photographs));
    assert!(source("demo:").is_err());
    assert_eq!(source("rpicam"), Ok(SourceChoice::Rpicam(0)));
    assert_eq!(source("rpicam:1"), Ok(SourceChoice::Rpicam(1)));
    for path in [
        "pictures/demo",
        "./0",
        "0.png",
        "video.mjpeg",
        "videos",
        "a:b",
    ] {
        assert_eq!(source(path), Ok(SourceChoice::Path(path.into())));
    }
    let file = SourceChoice::Path("/a b/clip.mjpeg".into());
    assert_eq!(source("file:///a%20b/clip.mjpeg"), Ok(file));
}

#[test]
fn devices_and_addresses_are_sources() {
    let source = |text: &str| text.parse::<SourceChoice>();
    let camera = |choice| Ok(SourceChoice::Camera(choice));
    assert_eq!(source("0"), camera(CameraChoice::Number(0)));
    assert_eq!(source("video12"), camera(CameraChoice::Number(12)));
    for path in [
        "/dev/video0",
        "/dev/v4l/by-id/usb-Cam-index0",
        "/dev/v4l/by-path/x",
    ] {
        assert_eq!(source(path), camera(CameraChoice::Device(path.into())));
    }
    let device = CameraChoice::Device("/dev/video2".into());
    assert_eq!(source("v4l2:///dev/video2"), camera(device));
    for url in [
        "rtsp://u:pw@cam/1",
        "rtsps://cam",
        "http://cam:81/v",
        "HTTPS://cam",
    ] {
        let url = SourceChoice::Network(url.parse().expect("valid"));
        assert!(!format!("{url:?}").contains("pw"), "{url:?}");
    }
    assert!(matches!(
        source("rtsp://u:pw@cam"),
        Ok(SourceChoice::Network(_))
    ));
    assert!(source("rtmp://cam/live").is_err() && source("rtsp://").is_err());
}

#[test]
fn no_error_shows_the_password_of_a_source() {
    let lines = [
        "boxcam run --source rtmp://admin:hunter2@cam/live",
        "boxcam run --source rtsp://admin:hunter2@cam:port/live",
        "boxcam run --source rtsp://admin:hun/ter2@cam/live",
        "boxcam run --source http://cam:x/v?user=a&password=hunter2",
        "boxcam run rtsp://admin:hunter2@cam/live",
        "boxcam run --sauce=rtsp://admin:hunter2@cam/live",
        "boxcam run --size rtsp://admin:hunter2@cam/live",
        "boxcam rtsp://admin:hunter2@cam/live",
        "boxcam run --source rtsp://admin:hunter2@cam/live --frames rtsp://admin:hunter2@cam",
    ];
    for line in lines {
        let Err(OptionsError::Cli(error)) = parse_line(line) else {
            panic!("{line}");
        };
        let message = error.render().to_string();
        assert!(
            !message.contains("hunter2") && !message.contains("ter2@"),
            "{message}"
        );
        assert_eq!(error.exit_code(), 2, "{message}");
    }
    let files = [
        "source = \"rtmp://admin:hunter2@cam/live\"",
        "source = rtsp://admin:hunter2@cam/live",
        "source: rtsp://admin:hunter2@cam/live",
        "rtsp://admin:hunter2@cam/live",
        "\"rtsp://admin:hunter2@cam/live\" = 1",
    ];
    for text in files {
        let (_folder, file) = written(text);
        let line = format!("boxcam run --config {}", file.display());
        let message = parse_line(&line).expect_err(text).to_string();
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn frame_sizes_are_parsed() {
    let size: FrameSize = "640x480".parse().expect("valid");
    assert_eq!((size.width, size.height), (640, 480));
    for invalid in ["640", "640x", "15x480", "640x8193", "-640x480"] {
        assert!(invalid.parse::<FrameSize>().is_err(), "{invalid}");
    }
}

#[test]
fn rest_and_duration_are_parsed() {
    let options = run("boxcam run --max-rate 0.2 --motion --idle-interval 1min --duration 20s");
    assert_eq!(options.rest.max_rate.map(FrameRateLimit::value), Some(0.2));
    assert!(options.rest.motion);
    assert_eq!(options.rest.idle_interval, Duration::from_secs(60));
    assert_eq!(options.duration, Some(Duration::from_secs(20)));
    assert_eq!(options.rest.max_temperature, 80);
    for wrong in [
        "--max-rate 0",
        "--max-rate -1",
        "--max-rate nan",
        "--max-rate inf",
        "--idle-interval 0s",
        "--idle-interval 2h",
        "--duration 0s",
        "--duration 20",
        "--max-temperature 39",
        "--max-temperature 130",
    ] {
        assert!(
            parse_line(&format!("boxcam run {wrong}")).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn invalid_values_are_usage_errors() {
    let lines = [
        "boxcam",
        "boxcam dance",
        "boxcam detect",
        "boxcam run --threshold 1.5 --source demo",
        "boxcam run --threshold NaN",
        "boxcam run --frames 0",
        "boxcam run --display lamp",
        "boxcam run --lines all",
        "boxcam run --rotate 45",
        "boxcam run --size 640",
        "boxcam run --stall never",
        "boxcam run --mqtt wss://home",
        "boxcam run --web-hosts http://cam.lan",
        "boxcam run --web-frame-ancestors homeassistant.local",
        "boxcam evaluate --pictures val",
        "boxcam evaluate --pictures val --annotations a.csv --threads 0",
        "boxcam evaluate --pictures val --annotations a.csv --sliding-window",
        "boxcam evaluate --pictures val --annotations a.csv --curve curve.png",
    ];
    for line in lines {
        let Err(OptionsError::Cli(error)) = parse_line(line) else {
            panic!("{line}");
        };
        assert_eq!(error.exit_code(), 2, "{line}");
    }
    let Err(OptionsError::Cli(help)) = parse_line("boxcam --help") else {
        panic!("help");
    };
    assert_eq!(help.exit_code(), 0);
}

#[test]
fn values_out_of_range_name_the_option() {
    for (line, option) in [
        ("boxcam run --stall 10ms", "stall"),
        ("boxcam run --log-size 100B", "log-size"),
        ("boxcam run --snapshots-size 100B", "snapshots-size"),
        ("boxcam run --clips-size 100kB", "clips-size"),
        ("boxcam run --clips-after 1min", "clips-after"),
        ("boxcam run --collect-size 100kB", "collect-size"),
        ("boxcam run --name \t", "name"),
    ] {
        let message = parse_line(line).expect_err(line).to_string();
        assert!(message.contains(&format!("'--{option} <")), "{message}");
        assert!(message.contains("expected a "), "{message}");
    }
}

/// All texts of an error.
fn texts(error: &OptionsError) -> String {
    let rendered = match error {
        OptionsError::Cli(error) => error.render().ansi().to_string(),
        OptionsError::File(_) | OptionsError::Zones(_) => String::new(),
    };
    format!("{error}\n{error:?}\n{rendered}")
}

#[test]
fn no_error_shows_a_password() {
    let lines = [
        "boxcam run --mqtt wss://anna:s3cret@home",
        "boxcam run --mqtt=mqtt://anna:s3cret@home/topic",
        "boxcam run --mqtt mqtt://anna:p@s3cret/x@home:port",
        "boxcam run --mqtt mqtt://anna:s3cret",
        "boxcam run --mqtt anna:s3cret@home",
        "boxcam run --mqtt anna:s3cret",
        "boxcam run --mqtt mqtt://:s3cret@home",
        "boxcam run --mqt mqtt://anna:s3cret@home",
        "boxcam run --mqt=mqtt://anna:s3cret@home",
        "boxcam run mqtt://anna:s3cret@home",
        "boxcam run -mqtt://anna:s3cret@home",
        "boxcam run --mqtt mqtt://anna:s3cret@home --stall soon",
        "boxcam run --mqtt mqtt://home mqtt://anna:s3cret@home",
        "boxcam run --source= --mqtt mqtt://anna:s3cret@home",
        "boxcam run --web mqtt://anna:s3cret@home",
        "boxcam run --size rtsp://anna:s3cret@cam",
        "boxcam run --lines mqtt://anna:s3cret@home",
        "boxcam detect --mqtt=mqtt://anna:s3cret@home",
        "boxcam detect cat.jpg --mqtt mqtt://anna:s3cret@home",
        "boxcam doctor --mqtt ws://anna:s3cret@home",
        "boxcam mqtt://anna:s3cret@home",
        "boxcam --mqtt=mqtt://anna:s3cret@home run",
    ];
    for line in lines {
        let error = parse_line(line).expect_err(line);
        let texts = texts(&error);
        assert!(!texts.contains("s3cret"), "{line}: {texts}");
    }
    // The rest of the message is there.
    let error = parse_line(lines[0]).expect_err("WebSockets").to_string();
    let start =
        "error: invalid value 'wss://***@home' for '--mqtt <URL>': wss:// is MQTT over WebSockets";
    assert!(error.starts_with(start), "{error}");
    let options = run("boxcam run --mqtt mqtt://anna:s3cret@home");
    assert!(!format!("{options:?}").contains("s3cret"));
}

#[test]
fn no_error_in_a_file_shows_a_password() {
    let files = [
        "mqtt = \"wss://anna:s3cret@home\"",
        "mqtt = \"anna:s3cret\"",
        "mqtt = mqtt://anna:s3cret@home",
        "mqtt = \"mqtt://anna:s3cret@home",
        "mqtt \"mqtt://anna:s3cret@home\"",
        "mqtt: mqtt://anna:s3cret@home",
        "mqtt://anna:s3cret@home",
        "\"mqtt://anna:s3cret@home\" = 1",
        "\"anna:s3cret@home\" = 1",
        "mqt = \"mqtt://anna:s3cret@home\"",
        "mqtt = \"\"\"\nmqtt://anna:s3cret@home",
        "mqtt = [\"mqtt://anna:s3cret@home\"]",
        "[mqtt]\nurl = \"mqtt://anna:s3cret@home\"",
        "mqtt = \"mqtt://anna:s3cret@home\"\nmqtt = \"mqtt://anna:s3cret@home\"",
        "mqtt = \"mqtt://anna:s3cret@home\"\nrotate = 45",
        "web = \"mqtt://anna:s3cret@home\"",
    ];
    for text in files {
        let (_folder, file) = written(text);
        let line = format!("boxcam run --config {}", file.display());
        let error = parse_line(&line).expect_err(text);
        let texts = texts(&error);
        assert!(!texts.contains("s3cret"), "{text}: {texts}");
        assert!(texts.contains("line "), "{text}: {texts}");
    }
}

#[test]
fn evaluate_and_detect_take_paths() {
    let line = "boxcam evaluate --pictures val --annotations a.csv --json --threads 3";
    let Ok(Command::Evaluate(evaluate)) = parse_line(line) else {
        panic!("{line}");
    };
    assert!(evaluate.json && evaluate.threads.map(NonZeroUsize::get) == Some(3));
    let Ok(Command::Detect(detect)) = parse_line("boxcam detect a.jpg b --annotate out") else {
        panic!("detect");
    };
    assert_eq!(detect.pictures, [PathBuf::from("a.jpg"), "b".into()]);
    assert_eq!(detect.annotate, Some("out".into()));
}

/// Writes a configuration file with this text; the folder must be kept.
pub(super) fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("boxcam.toml");
    std::fs::write(&file, text).expect("written");
    (folder, file)
}

#[test]
fn the_command_line_overrides_the_file() {
    let text = "source = \"demo\"\nstall = \"5s\"\nwait = true\nlog-size = \"1MB\"\nrotate = 90\n\
                threshold = 0.25\nweb = 8080\n";
    let (_folder, file) = written(text);
    let line = format!("boxcam run --config {} --stall 3s", file.display());
    let options = run(&line);
    assert_eq!(options.source, SourceChoice::Demo);
    assert_eq!(options.stall, Duration::from_secs(3));
    assert_eq!(options.log_size, ByteSize::mb(1));
    assert_eq!((options.rotate, options.wait), (Rotation::Quarter, true));
    assert_eq!(options.model.threshold.map(Threshold::value), Some(0.25));
    assert_eq!(options.web.map(|web| web.0.port()), Some(8080));
    assert!(!run(&format!("{line} --wait=false")).wait);
    let line = format!("boxcam doctor --json --config {}", file.display());
    let Ok(Command::Doctor(doctor)) = parse_line(&line) else {
        panic!("{line}");
    };
    assert_eq!((doctor.json, doctor.run.rotate), (true, Rotation::Quarter));
}

#[test]
fn an_error_in_a_file_names_file_line_and_key() {
    let cases = [
        (
            "rate = 30\nthreshold = 1.5\n",
            "line 2: threshold: expected a number between 0 and 1",
        ),
        (
            "source = \"camera\"\n\ntreshold = 0.5",
            "line 3: treshold: unknown key, expected one of source, size, ",
        ),
        ("rotate = 45", "line 1: rotate: expected 0, 90, 180 or 270"),
        ("rate = 0", "line 1: rate: number would be zero"),
        (
            "stall = \"soon\"",
            "line 1: stall: expected a time from 100ms to 10min",
        ),
        (
            "web = \"everywhere\"",
            "line 1: web: expected a port, or an address with a port",
        ),
        ("wait = \"yes\"", "line 1: wait: expected true, false"),
        (
            "log = true",
            "line 1: log: expected a string or a number, not true or false",
        ),
        (
            "log = [1]",
            "line 1: log: expected a string, a number, true or false",
        ),
        ("snapshots = \"\"", "line 1: snapshots: expected a value"),
        ("size = 640x480", "line 1: size: "),
        (
            "log-size = \"big\"",
            "line 1: log-size: expected a size of 500B",
        ),
        (
            "config = \"other.toml\"",
            "line 1: config: unknown key, expected",
        ),
        (
            "lines = \"all\"",
            "line 1: lines: expected auto, events, frames",
        ),
        ("rate = 30\nrate = 25", "line 2: rate: duplicate key"),
    ];
    for (text, expected) in cases {
        let (_folder, file) = written(text);
        let line = format!("boxcam run --config {}", file.display());
        let message = parse_line(&line).expect_err(text).to_string();
        assert!(
            message.starts_with(&format!("{}: ", file.display())),
            "{message}"
        );
        assert!(message.contains(expected), "{text}: {message}");
    }
}

/// A valid zone and a valid line, from line 1 on.
const ZONE_TABLE: &str =
    "[[zone]]\nname = \"table\"\npoints = [[0.1, 0.2], [0.5, 0.2], [0.5, 1]]\n";
const LINE_TABLE: &str = "[[line]]\nname = \"door\"\npoints = [[0, 0.5], [1, 0.5]]\n";

#[test]
fn tables_of_a_file_are_the_same_as_options() {
    let text = format!(
        "classes = [\"cat\", \"hot dog\"]\nmin-area = 0.01\ndraw-zones = true\n{ZONE_TABLE}classes = [\"cat\", \"dog\"]\n\
         settle = \"2s\"\nloiter = \"1min\"\n{LINE_TABLE}directions = [\"to the room\", \"away\"]\nmargin = 0.1\n{}",
        ZONE_TABLE.replace("table", "chair")
    );
    let (_folder, file) = written(&text);
    let from_file = run(&format!("boxcam run --config {}", file.display()));
    let arguments = [
        "boxcam",
        "run",
        "--classes=cat,hot dog",
        "--min-area=0.01",
        "--draw-zones",
        "--zone",
        "table=0.1,0.2;0.5,0.2;0.5,1;settle=2s;classes=cat,dog;loiter=1min",
        "--zone",
        "chair = 0.1,0.2; 0.5,0.2; 0.5,1",
        "--line=door=0,0.5;1,0.5;directions=to the room,away;margin=0.1",
    ];
    let Ok(Command::Run(given)) = parse(arguments, &[]) else {
        panic!("{arguments:?}");
    };
    assert_eq!(from_file.zones, given.zones);
    assert_eq!(from_file.filter, given.filter);
    let map = given.zones.map().expect("valid");
    assert_eq!(
        (map.zones().len(), map.lines().len(), map.is_drawn()),
        (2, 1, true)
    );
    assert_eq!(given.filter.filter().min_area, 0.01);
}

#[test]
fn a_zone_of_the_command_line_replaces_that_of_the_file() {
    let (_folder, file) = written(&format!("classes = \"cat\"\n{ZONE_TABLE}{LINE_TABLE}"));
    let line = format!(
        "boxcam run --config {} --classes=dog --zone chair=0,0;1,0;1,1 --zone table=0,0;1,0;0,1 --line door=0,0;1,1",
        file.display()
    );
    let options = run(&line);
    let names: Vec<&str> = options.zones.zones.iter().map(Zone::name).collect();
    assert_eq!(names, ["chair", "table"]);
    assert_eq!(options.zones.zones[1].polygon().points()[2].x(), 0.0);
    assert_eq!(options.zones.lines.len(), 1);
    assert_eq!(options.zones.lines[0].ends()[1].y(), 1.0);
    assert!(options.filter.filter().classes.contains("dog"));
    assert!(!options.filter.filter().classes.contains("cat"));
}

#[test]
fn a_doubled_name_is_an_error() {
    for (option, text) in [("zone", "a=0,0;1,0;1,1"), ("line", "a=0,0;1,1")] {
        let line = format!("boxcam run --{option} {text} --{option} {text}");
        let message = parse_line(&line).expect_err(&line).to_string();
        let expected = format!("two {option}s are named \"a\"; give each another name");
        assert_eq!(message, expected);
    }
}

#[test]
fn an_error_in_a_table_names_line_and_key() {
    let points = "points = [[0.1, 0.2], [0.5, 0.2], [0.5, 1]]";
    let zone = |rest: &str| format!("rate = 30\n\n{ZONE_TABLE}{rest}\n");
    let cases = [
        (
            zone("settle = \"soon\""),
            "line 6: zone.settle: expected a time up to 24h",
        ),
        (
            zone("color = \"red\""),
            "line 6: zone.color: unknown key, expected one of name, points, ",
        ),
        (
            zone("classes = []"),
            "line 6: zone.classes: expected names of classes",
        ),
        (
            zone("classes = [[1]]"),
            "line 6: classes: expected a string, a number or an array of them",
        ),
        (
            zone("classes = [\"a;settle=0\"]"),
            "line 6: classes: a value here must not contain",
        ),
        (
            format!("[[zone]]\n{points}"),
            "line 1: zone: a table here needs a name, as name = \"door\"",
        ),
        (
            "[[zone]]\nname = \"a\"".to_owned(),
            "line 1: zone.points: a polygon needs at least 3 points, not 0",
        ),
        (
            "[[zone]]\nname = \"a\"\npoints = [[0.1, 0.2], [0.5, 0.2]]".to_owned(),
            "line 3: zone.points: a polygon needs at least 3 points, not 2",
        ),
        (
            "[[zone]]\nname = \"a\"\npoints = [[0.1, 0.2], [0.5], [0.1, 0.5]]".to_owned(),
            "line 3: zone.points: point 2 is not X,Y",
        ),
        (
            "[[zone]]\nname = \"a\"\npoints = [[0.1, 0.2], [320, 240], [0.1, 0.5]]".to_owned(),
            "line 3: zone.points: point 2 is outside of the picture",
        ),
        (
            "[[zone]]\npoints = [[0.2, 0.2], [0.6, 0.6], [0.6, 0.2], [0.2, 0.6]]\nname = \"a\""
                .to_owned(),
            "line 2: zone.points: side 1 (from point 1) meets side 3",
        ),
        (
            "[[zone]]\nname = \"a\"\npoints = [[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]".to_owned(),
            "line 3: zone.points: all points are on one line, so it has no area",
        ),
        (
            "[[zone]]\nname = \"a/b\"\npoints = [[0.1, 0.1], [0.5, 0.5], [0.9, 0.1]]".to_owned(),
            "line 2: zone.name: the name must have",
        ),
        (
            "[[zone]]\nname = \"a\"\npoints = [[0.1, true]]".to_owned(),
            "line 3: points: expected points, as [[0.1, 0.2]",
        ),
        (
            format!("{ZONE_TABLE}{LINE_TABLE}{ZONE_TABLE}"),
            "line 8: zone.name: the table at line 1 has the same name; give each another",
        ),
        (
            format!("{LINE_TABLE}[[line]]\nname = \"b\"\npoints = [[0, 0.5]]"),
            "line 6: line.points: a line has 2 points, not 1",
        ),
        (
            format!("{LINE_TABLE}settle = \"1s\""),
            "line 4: line.settle: unknown key, expected one of",
        ),
        (
            "zone = [\"a\"]".to_owned(),
            "line 1: zone: expected tables, each below its header",
        ),
        (
            "zone = true".to_owned(),
            "line 1: zone: expected tables, each below its header",
        ),
        (
            "zone = \"a\"".to_owned(),
            "line 1: zone: expected NAME=X,Y;X,Y;...",
        ),
        (
            "zone = [1, {}]".to_owned(),
            "line 1: zone: expected tables only",
        ),
        (
            "[[zones]]\nname = \"a\"".to_owned(),
            "line 1: zones: unknown key, expected one of",
        ),
        (
            "[[log]]\nname = \"a\"".to_owned(),
            "line 1: log: expected a string, a number, true or false",
        ),
        (
            "classes = \"\"".to_owned(),
            "line 1: classes: expected names of classes with commas",
        ),
        (
            "min-area = 2".to_owned(),
            "line 1: min-area: expected a share of the picture between 0 and 1",
        ),
        (
            "draw-zones = 1".to_owned(),
            "line 1: draw-zones: expected true, false",
        ),
    ];
    for (text, expected) in cases {
        let (_folder, file) = written(&text);
        let line = format!("boxcam run --config {}", file.display());
        let message = parse_line(&line).expect_err(&text).to_string();
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn a_file_of_many_tables_is_refused() {
    let tables: String = (0..201)
        .map(|n| format!("[[zone]]\nname = \"{n}\"\n"))
        .collect();
    let (_folder, file) = written(&tables);
    let line = format!("boxcam run --config {}", file.display());
    let message = parse_line(&line).expect_err("too many").to_string();
    assert!(message.contains("too many tables"), "{message}");
}

#[test]
fn a_missing_file_is_named() {
    let message = parse_line("boxcam run --config no/such.toml")
        .expect_err("missing")
        .to_string();
    assert!(
        message.starts_with("no/such.toml: can't be read"),
        "{message}"
    );
}

#[cfg(unix)]
#[test]
fn a_file_without_an_end_is_refused() {
    let message = parse_line("boxcam run --config /dev/zero")
        .expect_err("refused")
        .to_string();
    assert!(message.contains("longer than 65536 bytes"), "{message}");
}

#[test]
fn the_example_file_has_every_option_with_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/boxcam.toml");
    let text = std::fs::read_to_string(&path).expect("docs/boxcam.toml");
    let line = format!("boxcam run --config {}", path.display());
    let from_file = RunOptions {
        config: None,
        ..run(&line)
    };
    assert_eq!(from_file, run("boxcam run"));

    let is_setting =
        |line: &&str| (line.contains(" = ") || line.contains("[[")) && !line.starts_with("# ");
    let settings: Vec<&str> = text
        .lines()
        .filter(is_setting)
        .map(|line| line.trim_start_matches('#'))
        .collect();
    let (_folder, uncommented) = written(&settings.join("\n"));
    run(&format!("boxcam run --config {}", uncommented.display()));
    let cli = Cli::command();
    let run = cli.find_subcommand("run").expect("`run` is a command");
    for option in run.get_arguments().filter_map(|arg| arg.get_long()) {
        let is_set = settings.iter().any(|line| {
            line.starts_with(&format!("{option} = ")) || *line == format!("[[{option}]]")
        });
        assert!(is_set || ["config", "help"].contains(&option), "{option}");
    }
}
