use std::collections::BTreeMap;
use std::fs;
use std::time::SystemTime;

use image::{Rgb, RgbImage};
use test_support::file_names;

use super::avi::tests::{ParsedAvi, parse};
use super::*;
use crate::detect::Detection;
use crate::frame::FrameImage;
use crate::geometry::NormBox;
use crate::label::{ClassId, Labels};
use crate::track::{Event, EventKind};

/// The time between two frames.
const STEP: u64 = 100;

/// A run whose frames are [`STEP`] ms apart; the number of a frame is its time in steps.
struct Run {
    folder: tempfile::TempDir,
    sink: ClipSink,
    health: Arc<Health>,
}

impl Run {
    fn new(before: u64, after: u64) -> Self {
        Self::with_budget(before, after, 1_000_000_000)
    }

    fn with_budget(before: u64, after: u64, budget: u64) -> Self {
        let folder = tempfile::tempdir().expect("created");
        let (sink, health) = open(folder.path(), before, after, budget);
        Self {
            folder,
            sink,
            health,
        }
    }

    /// Shows the frames with these numbers; those of `events` have one.
    fn show(&mut self, numbers: impl IntoIterator<Item = u64>, events: &[u64]) {
        for number in numbers {
            let report = report(number, events.contains(&number));
            let shown = self.sink.show(&frame(number, 8), &report);
            shown.expect("no error");
        }
    }

    /// Ends the run; returns the clips by their names.
    fn finish(self) -> BTreeMap<String, ParsedAvi> {
        drop(self.sink);
        clips(self.folder.path())
    }
}

fn open(folder: &Path, before: u64, after: u64, budget: u64) -> (ClipSink, Arc<Health>) {
    let health = Arc::new(Health::default());
    let settings = ClipSettings {
        before: Duration::from_millis(before * STEP),
        after: Duration::from_millis(after * STEP),
        budget,
    };
    let sink = ClipSink::open(folder, settings, Arc::clone(&health));
    (sink.expect("opened"), health)
}

/// A JPEG that tells its number.
fn jpeg(number: u64, side: u32) -> Arc<[u8]> {
    let [.., high, low] = number.to_be_bytes();
    let image = RgbImage::from_pixel(side, side, Rgb([90; 3]));
    let jpeg = encode_jpeg(&image, 80).expect("encoded");
    // A comment.
    [&jpeg[..2], &[0xff, 0xfe, 0, 4, high, low], &jpeg[2..]]
        .concat()
        .into()
}

fn number_of(jpeg: &[u8]) -> u64 {
    u16::from_be_bytes([jpeg[6], jpeg[7]]).into()
}

fn time(number: u64) -> Duration {
    Duration::from_millis(number * STEP)
}

fn frame(number: u64, side: u32) -> PublicFrame {
    let image = FrameImage::from(RgbImage::new(1, 1)).with_jpeg(jpeg(number, side));
    PublicFrame::hiding_nothing(Frame {
        position: Some(time(number)),
        time: SystemTime::UNIX_EPOCH + time(number),
        ..Frame::new(number, Origin::Live, image)
    })
}

fn report(number: u64, has_event: bool) -> Report {
    let labels = Labels::new(vec!["apple".into()]).expect("valid");
    let event = Event {
        kind: EventKind::Appeared,
        track: number,
        detection: Detection {
            class: ClassId::new(0),
            confidence: 0.9,
            bounding_box: NormBox::WHOLE,
        },
        time: SystemTime::UNIX_EPOCH + time(number),
        duration: Duration::ZERO,
    };
    Report {
        events: has_event.then_some(event).into_iter().collect(),
        ..Report::waiting(Arc::new(labels), "0badcafe".into())
    }
}

fn clips(folder: &Path) -> BTreeMap<String, ParsedAvi> {
    let read = |name: String| {
        let bytes = fs::read(folder.join(&name)).expect("readable");
        (name, parse(&bytes))
    };
    file_names(folder).into_iter().map(read).collect()
}

/// The numbers of the frames of each clip, by the order of their names.
fn numbers(clips: &BTreeMap<String, ParsedAvi>) -> Vec<Vec<u64>> {
    let of_clip = |clip: &ParsedAvi| {
        let frames = clip.frames();
        frames.iter().map(|(_, jpeg)| number_of(jpeg)).collect()
    };
    clips.values().map(of_clip).collect()
}

fn range(numbers: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    numbers.collect()
}

#[test]
fn a_clip_has_the_frames_before_and_after_its_event_as_they_came() {
    let mut run = Run::new(10, 20);
    run.show(0..200, &[50]);
    let clips = run.finish();
    let [(name, clip)] = Vec::from_iter(&clips).try_into().expect("one clip");
    assert_eq!(name, "19700101T000005.000Z-appeared-apple-50.avi");
    assert_eq!(
        (clip.size, clip.interval),
        ((8, 8), Duration::from_millis(STEP))
    );
    let expected: Vec<Arc<[u8]>> = (40..=70).map(|number| jpeg(number, 8)).collect();
    assert_eq!(
        clip.chunks,
        expected
            .iter()
            .map(|jpeg| jpeg.to_vec())
            .collect::<Vec<_>>()
    );
}

#[test]
fn events_that_overlap_make_a_clip_longer_and_nothing_is_stored_twice() {
    let mut run = Run::new(10, 20);
    // The time before the last event overlaps with the clip before.
    run.show(0..200, &[50, 60, 70, 95]);
    let clips = run.finish();
    assert_eq!(numbers(&clips), [range(40..=90), range(91..=115)]);
}

/// Shows frames with events whose clips are named beforehand. Returns the name at each event.
fn show_named(run: &mut Run, numbers: std::ops::Range<u64>, events: &[u64]) -> Vec<String> {
    let mut namer = ClipNamer::new(run.sink.settings);
    let mut names = Vec::new();
    for number in numbers {
        let frame = frame(number, 8);
        let mut report = report(number, events.contains(&number));
        report.clip = namer.name(&frame, &report);
        names.extend(report.clip.as_deref().map(str::to_owned));
        run.sink.show(&frame, &report).expect("no error");
    }
    names
}

#[test]
fn the_clip_of_each_event_is_known_when_it_happens() {
    let mut run = Run::new(10, 20);
    // The third comes while the first clip goes on, the fourth one frame after its end.
    let names = show_named(&mut run, 0..200, &[50, 60, 80, 101]);
    let expected = [
        "19700101T000005.000Z-appeared-apple-50.avi",
        "19700101T000010.100Z-appeared-apple-101.avi",
    ];
    let [first, second] = expected;
    assert_eq!(names, [first, first, first, second]);
    let clips = run.finish();
    assert_eq!(clips.keys().collect::<Vec<_>>(), expected);
    assert_eq!(numbers(&clips), [range(40..=100), range(101..=121)]);
}

#[test]
fn an_event_that_would_be_too_late_for_a_clip_begins_the_next_one() {
    let mut run = Run::new(10, 100);
    let events: Vec<u64> = (20..1500).step_by(50).collect();
    let names = show_named(&mut run, 0..1700, &events);
    let clips = run.finish();
    assert_eq!(numbers(&clips).concat(), range(10..=1570), "nothing twice");
    for (event, name) in events.iter().zip(names) {
        let clip = clips.get(&name).unwrap_or_else(|| panic!("no {name}"));
        let frames = clip.frames();
        let shown = frames.iter().any(|(_, jpeg)| number_of(jpeg) == *event);
        assert!(shown && frames.len() <= 601, "{event} in {name}");
    }
}

#[test]
fn the_end_of_a_track_is_in_the_clip_of_the_last_frame() {
    let mut run = Run::new(10, 20);
    let mut namer = ClipNamer::new(run.sink.settings);
    // The last frame is too late for another event, and in the clip.
    let last = 595;
    for number in 0..=last {
        let mut report = report(number, number % 15 == 0 && number <= 585);
        report.clip = namer.name(&frame(number, 8), &report);
        run.sink.show(&frame(number, 8), &report).expect("no error");
    }
    let mut ended = report(last, true);
    ended.clip = namer.name_of_end(&frame(last, 8), &ended);
    let shown = run.sink.on_track_ended(&frame(last, 8), &ended);
    shown.expect("no error");
    let clips = run.finish();
    let [(name, clip)] = Vec::from_iter(&clips).try_into().expect("one clip");
    assert_eq!(ended.clip.as_deref(), Some(&**name));
    let frames = clip.frames();
    assert_eq!(frames.last().map(|(_, jpeg)| number_of(jpeg)), Some(last));
}

#[test]
fn a_clip_that_failed_does_not_take_the_place_of_a_complete_one() {
    let mut run = Run::new(1, 5);
    let clip: Arc<str> = "19700101T000000.500Z-appeared-apple-5.avi".into();
    let report = |number, has_event: bool| Report {
        clip: has_event.then(|| Arc::clone(&clip)),
        ..report(number, has_event)
    };
    // The second event comes after the end of the clip that it was named for.
    for number in 0..40 {
        let report = report(number, [5, 20].contains(&number));
        run.sink.show(&frame(number, 8), &report).expect("no error");
    }
    let clips = run.finish();
    let expected = [&*clip, "19700101T000002.000Z-appeared-apple-20.avi"];
    assert_eq!(clips.keys().collect::<Vec<_>>(), expected);
    assert_eq!(numbers(&clips), [range(4..=10), range(19..=25)]);
}

#[test]
fn events_that_go_on_have_several_clips() {
    let mut run = Run::new(10, 100);
    let events: Vec<u64> = (20..1500).step_by(50).collect();
    run.show(0..1700, &events);
    let clips = run.finish();
    let found = numbers(&clips);
    assert_eq!(found.concat(), range(10..=1570));
    assert_eq!(clips.len(), 3);
    assert!(found.iter().all(|clip| clip.len() <= 601));
    // The later ones have the time of their first frame.
    assert!(
        clips.contains_key("19700101T000101.100Z-appeared-apple-570.avi"),
        "{:?}",
        clips.keys()
    );
}

#[test]
fn a_new_size_begins_another_clip() {
    let mut run = Run::new(10, 20);
    let side = |number| if (15..=55).contains(&number) { 16 } else { 8 };
    for number in 0..100 {
        let report = report(number, [20, 50].contains(&number));
        run.sink
            .show(&frame(number, side(number)), &report)
            .expect("no error");
    }
    let clips = run.finish();
    // What came before an event in another size is left out.
    assert_eq!(
        numbers(&clips),
        [range(15..=40), range(41..=55), range(56..=70)]
    );
    let sizes: Vec<u32> = clips.values().map(|clip| clip.size.0).collect();
    assert_eq!(sizes, [16, 16, 8]);
}

#[test]
fn frames_without_a_jpeg_are_encoded() {
    let mut run = Run::new(1, 1);
    let image = RgbImage::from_fn(32, 16, |x, y| Rgb([x as u8 * 4, y as u8 * 8, 90]));
    for number in 0..5 {
        let frame = Frame {
            position: Some(time(number)),
            ..Frame::new(number, Origin::Live, image.clone())
        };
        let frame = PublicFrame::hiding_nothing(frame);
        run.sink
            .show(&frame, &report(number, number == 2))
            .expect("no error");
    }
    let clips = run.finish();
    let clip = clips.values().next().expect("a clip");
    assert_eq!((clip.size, clip.chunks.len()), ((32, 16), 3));
    for jpeg in &clip.chunks {
        let shown = jpeg::decode_scaled(jpeg, (32, 16)).expect("whole");
        let differences = shown.iter().zip(image.iter()).map(|(a, b)| a.abs_diff(*b));
        assert!(differences.max() < Some(24));
    }
}

#[test]
fn frames_that_the_model_did_not_get_have_their_place() {
    let mut run = Run::new(10, 10);
    // The model needs three frames' time for each that it gets.
    for number in (0..60).step_by(3) {
        for skipped in [number + 1, number + 2] {
            run.sink
                .on_skipped_frame(&frame(skipped, 8))
                .expect("no error");
        }
        run.show([number], &[30]);
    }
    // It comes too late.
    run.sink.on_skipped_frame(&frame(25, 8)).expect("no error");
    assert_eq!(numbers(&run.finish()), [range(20..=40)]);
}

#[test]
fn the_end_of_a_track_without_a_new_frame_is_an_event() {
    let mut run = Run::new(10, 20);
    run.show(0..100, &[]);
    let ended = run.sink.on_track_ended(&frame(99, 8), &report(99, true));
    ended.expect("no error");
    assert_eq!(numbers(&run.finish()), [range(89..=99)]);
}

#[test]
fn a_clip_is_whole_while_the_camera_is_away() {
    let mut run = Run::new(10, 50);
    run.show(0..60, &[50]);
    assert!(clips_are_unfinished(run.folder.path()));
    let change = |state| StateChange {
        state,
        time: SystemTime::UNIX_EPOCH,
        reason: String::new(),
    };
    run.sink
        .on_state_change(&change(CaptureState::Stalled))
        .expect("no error");
    assert_eq!(numbers(&clips(run.folder.path())), [range(40..=59)]);
    run.sink
        .on_state_change(&change(CaptureState::Live))
        .expect("no error");
    run.show(80..200, &[]);
    assert_eq!(numbers(&run.finish()), [range(40..=59), range(80..=100)]);
}

fn clips_are_unfinished(folder: &Path) -> bool {
    let names = file_names(folder);
    names.iter().all(|name| name.ends_with(".part"))
}

#[test]
fn without_an_event_nothing_is_written() {
    let mut run = Run::new(10, 20);
    run.show(0..50, &[]);
    assert!(run.finish().is_empty());
}

#[test]
fn a_clip_of_a_recording_has_the_same_name_each_time() {
    let mut run = Run::new(0, 2);
    for number in 0..10 {
        let frame = Frame {
            origin: Origin::Recording("films/a film.mjpeg".into()),
            ..Frame::clone(&frame(number, 8))
        };
        let frame = PublicFrame::hiding_nothing(frame);
        run.sink
            .show(&frame, &report(number, number == 3))
            .expect("no error");
    }
    let clips = run.finish();
    assert_eq!(numbers(&clips), [[3, 4, 5]]);
    let name = clips.keys().next().expect("a clip");
    assert_eq!(name, "a film-000003-appeared-apple-3.avi");
    assert!(is_clip(name));
}

#[test]
fn the_budget_holds_across_restarts_and_while_a_clip_is_written() {
    let folder = tempfile::tempdir().expect("created");
    let total = || -> u64 {
        let files = fs::read_dir(folder.path()).expect("readable").flatten();
        files
            .map(|file| file.metadata().map_or(0, |file| file.len()))
            .sum()
    };
    let mine = "19700101T000001.000Z-appeared-apple-1.avi";
    fs::write(folder.path().join(mine), "mine").expect("written");
    fs::write(folder.path().join(".boxcam-4711.part"), [0; 100]).expect("written");
    let bytes = jpeg(0, 8).len() as u64 + 40;
    let budget = bytes * 41 + 4 * 300;
    for start in [0, 1000, 2000] {
        let (mut sink, health) = open(folder.path(), 2, 3, budget);
        for number in start..start + 200 {
            let report = report(number, number % 50 == 10);
            sink.show(&frame(number, 8), &report).expect("no error");
            assert!(total() <= budget + 4, "{}", total());
        }
        drop(sink);
        assert_eq!((health.clips_lost.get(), health.files_kept.get()), (0, 0));
    }
    let names = file_names(folder.path());
    assert!(names.contains(&mine.to_owned()), "{names:?}");
    assert!(
        names
            .iter()
            .all(|name| name == mine || &**name > "19700101T0001"),
        "{names:?}"
    );
    assert!(names.len() > 3, "{names:?}");
}

#[test]
fn a_clip_that_would_fill_the_budget_goes_on_in_another_file() {
    let bytes = jpeg(0, 8).len() as u64 + 40;
    let mut run = Run::with_budget(0, 50, bytes * 40 + 4 * 300);
    run.show(0..100, &[10]);
    let clips = run.finish();
    let found = numbers(&clips);
    assert!(found.len() >= 4, "{found:?}");
    assert_eq!(found.concat().last(), Some(&60));
    assert!(found.concat().is_sorted());
}

#[test]
fn clips_that_cannot_be_written_are_counted_and_are_no_error() {
    let mut run = Run::new(1, 1);
    fs::remove_dir(run.folder.path()).expect("removed");
    // The second event comes within the retry delay.
    run.show(0..20, &[5, 15]);
    assert_eq!(run.health.clips_lost.get(), 2);
    fs::create_dir(run.folder.path()).expect("created");
    let mut run = Run::with_budget(1, 1, 100);
    run.show(0..10, &[5]);
    assert_eq!(run.health.clips_lost.get(), 1, "larger than the budget");
    assert!(run.finish().is_empty());
}

#[test]
fn a_file_of_the_user_is_kept() {
    let mut run = Run::new(1, 1);
    let mine = run
        .folder
        .path()
        .join("19700101T000000.500Z-appeared-apple-5.avi");
    fs::write(&mine, "mine").expect("written");
    run.show(0..30, &[5, 15]);
    let health = Arc::clone(&run.health);
    drop(run.sink);
    assert_eq!((health.files_kept.get(), health.clips_lost.get()), (1, 1));
    assert_eq!(fs::read(&mine).expect("there"), b"mine");
    assert_eq!(file_names(run.folder.path()).len(), 2);
}

#[test]
fn the_error_names_a_folder_that_cannot_be_created() {
    let folder = tempfile::tempdir().expect("created");
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").expect("written");
    let settings = ClipSettings {
        before: Duration::ZERO,
        after: Duration::ZERO,
        budget: 1,
    };
    let error = ClipSink::open(&file.join("below"), settings, Arc::default());
    let error = error.expect_err("its parent is a file").to_string();
    assert!(error.contains("below"), "{error}");
}
