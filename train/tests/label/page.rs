//! The page in Chromium: boxes are drawn, moved and resized with the mouse and the keys.

use std::path::PathBuf;

use serde_json::{Value, json};
use test_support::tool_is_missing;

use super::browser::Browser;
use super::{Server, common, folder, photograph, scene, wait_until};

/// The page in a window of this size, once it shows a picture.
pub(crate) fn open(server: &Server, fragment: &str) -> Browser {
    let mut browser = Browser::open(&format!("{}{fragment}", server.page()), "1280,720");
    browser.resize(1280, 720);
    wait_until("a picture is shown", || shown(&mut browser).is_some());
    browser
}

/// The number of the picture that is shown, from 0.
pub(crate) fn shown(browser: &mut Browser) -> Option<u64> {
    let index = browser.evaluate("document.getElementById('stage')?.dataset.index ?? null");
    index.as_str().map(|index| index.parse().expect("a number"))
}

pub(crate) fn wait_for_picture(browser: &mut Browser, index: u64) {
    wait_until("the picture is shown", || shown(browser) == Some(index));
}

/// Waits until every change is on disk.
pub(crate) fn wait_until_saved(browser: &mut Browser) {
    wait_until("the changes are saved", || {
        browser.text("status") == "Saved"
    });
}

/// The position in the page of a pixel of the picture.
pub(crate) fn on_page(browser: &mut Browser, (x, y): (f64, f64)) -> (f64, f64) {
    let view = "(() => { const area = document.querySelector('.picture').getBoundingClientRect(); \
                return [area.left, area.top, Number(document.getElementById('stage').dataset.scale)]; })()";
    let view: [f64; 3] = serde_json::from_value(browser.evaluate(view)).expect("numbers");
    (view[0] + x * view[2], view[1] + y * view[2])
}

/// Drags the mouse between two pixels of the picture.
pub(crate) fn drag(browser: &mut Browser, from: (f64, f64), to: (f64, f64)) {
    let (start, end) = (on_page(browser, from), on_page(browser, to));
    let between = ((start.0 + end.0) / 2.0, (start.1 + end.1) / 2.0);
    browser.hover(start.0, start.1);
    browser.drag(&[start, between, end]);
}

fn click(browser: &mut Browser, pixel: (f64, f64)) {
    let (x, y) = on_page(browser, pixel);
    browser.click(x, y);
}

/// Saves a screenshot for a person to look at.
pub(crate) fn save_screenshot(browser: &mut Browser, name: &str) {
    let folder = std::env::var_os("CARGO_TARGET_TMPDIR").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    browser.save(&folder.join(name));
}

/// The boxes of a picture in the file are these, within a pixel.
#[track_caller]
pub(crate) fn assert_stored(
    server: &Server,
    picture: &str,
    expected: &[(&str, [i64; 4])],
    exhaustive: Option<bool>,
) {
    let stored = server.stored();
    let found = stored.iter().find(|(name, ..)| name == picture);
    let (_, boxes, stated) = found.unwrap_or_else(|| panic!("no {picture} in {stored:?}"));
    assert_eq!(stated.as_bool(), exhaustive, "{picture}");
    assert_eq!(boxes.len(), expected.len(), "{boxes:?}");
    for ((class, bounds), (expected_class, expected_bounds)) in boxes.iter().zip(expected) {
        assert_eq!(class, expected_class);
        let sides = bounds.iter().zip(expected_bounds);
        let is_near = sides
            .clone()
            .all(|(side, expected)| (side - expected).abs() <= 1);
        assert!(is_near, "{bounds:?}, expected {expected_bounds:?}");
    }
}

#[test]
fn boxes_are_drawn_moved_and_resized() {
    if tool_is_missing("chromium") {
        return;
    }
    let folder = folder(&[
        ("a.png", scene(1)),
        ("b.png", scene(2)),
        ("c.png", scene(3)),
    ]);
    let server = Server::start(folder.path(), &["--model", "none", "--classes", "mug,cup"]);
    let browser = &mut open(&server, "");
    drag(browser, (100.0, 80.0), (300.0, 240.0));
    wait_until_saved(browser);
    assert_stored(&server, "a.png", &[("mug", [100, 80, 200, 160])], None);
    // The lower right corner, then the left side.
    drag(browser, (300.0, 240.0), (340.0, 260.0));
    drag(browser, (100.0, 170.0), (90.0, 170.0));
    wait_until_saved(browser);
    assert_stored(&server, "a.png", &[("mug", [90, 80, 250, 180])], None);
    for key in [
        "ArrowRight",
        "ArrowRight",
        "ArrowRight",
        "Shift+ArrowDown",
        "Ctrl+ArrowLeft",
    ] {
        browser.press(key);
    }
    browser.press("2");
    browser.press("e");
    wait_until_saved(browser);
    assert_stored(&server, "a.png", &[("cup", [93, 90, 249, 180])], Some(true));
    // The selected box is moved, and with Shift another one is drawn over it.
    drag(browser, (150.0, 150.0), (160.0, 130.0));
    let (from, to) = (
        on_page(browser, (200.0, 120.0)),
        on_page(browser, (260.0, 160.0)),
    );
    browser.press("Escape");
    browser.drag(&[from, to]);
    browser.press("1");
    wait_until_saved(browser);
    let two = [("cup", [103, 70, 249, 180]), ("mug", [200, 120, 60, 40])];
    assert_stored(&server, "a.png", &two, Some(true));
    // The smaller of two boxes is selected by a click, and deleted.
    browser.press("Escape");
    click(browser, (230.0, 140.0));
    browser.press("Delete");
    wait_until_saved(browser);
    assert_stored(&server, "a.png", &two[..1], Some(true));
    browser.press("z");
    wait_until_saved(browser);
    assert_stored(&server, "a.png", &two, Some(true));
    browser.press("y");
    browser.press("Ctrl+z");
    wait_until_saved(browser);
    assert_stored(&server, "a.png", &two, Some(true));
    save_screenshot(browser, "label-boxes.png");
}

#[test]
fn pictures_are_walked_through_with_the_keys() {
    if tool_is_missing("chromium") {
        return;
    }
    let folder = folder(&[
        ("a.png", scene(1)),
        ("b.png", scene(2)),
        ("c.png", scene(3)),
    ]);
    let server = Server::start(folder.path(), &["--model", "none"]);
    let browser = &mut open(&server, "");
    // The first box of all asks for the name of its class.
    drag(browser, (40.0, 40.0), (140.0, 90.0));
    browser.insert("red mug");
    browser.press("Enter");
    wait_until("the class is there", || {
        browser.text("classes").contains("red mug")
    });
    wait_until_saved(browser);
    assert_stored(&server, "a.png", &[("red mug", [40, 40, 100, 50])], None);
    browser.press("d");
    wait_for_picture(browser, 1);
    browser.press("n");
    wait_until_saved(browser);
    assert_stored(&server, "b.png", &[], Some(true));
    browser.press("ArrowRight");
    wait_for_picture(browser, 2);
    // Without a mouse.
    browser.press("b");
    browser.press("ArrowLeft");
    wait_until_saved(browser);
    let (name, boxes, _) = server.stored().pop().expect("a picture");
    assert_eq!((name.as_str(), boxes.len()), ("c.png", 1));
    browser.press("Escape");
    browser.press("a");
    wait_for_picture(browser, 1);
    // Undo goes back through the pictures.
    browser.press("z");
    wait_for_picture(browser, 2);
    browser.press("z");
    wait_until("only one change is left", || {
        wait_until_saved(browser);
        server.stored().len() == 2
    });
    browser.press("z");
    wait_for_picture(browser, 1);
    wait_until("nothing is said of the second picture", || {
        server.stored().len() == 1
    });
    assert_stored(&server, "a.png", &[("red mug", [40, 40, 100, 50])], None);
    browser.press("u");
    wait_for_picture(browser, 2);
    let last = common::text(folder.path());
    let report = common::succeed(&["data", "inspect", last, "--json"]);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["format"], "coco");
    browser.press("?");
    save_screenshot(browser, "label-help.png");
    browser.press("Escape");
    assert_eq!(
        browser.evaluate("document.getElementById('help').open"),
        false
    );
}

#[test]
fn proposals_are_stored_only_when_they_are_accepted() {
    if tool_is_missing("chromium") {
        return;
    }
    let folder = folder(&[
        ("street.png", photograph()),
        ("table.png", scene(2)),
        ("tray.png", scene(3)),
    ]);
    let server = Server::start(
        folder.path(),
        &["--classes", "person,dog", "--threshold", "0.3"],
    );
    let proposed = server.get("/pictures/0/proposals").json()["proposals"].clone();
    let proposed: Vec<[i64; 4]> = proposed
        .as_array()
        .expect("a list")
        .iter()
        .map(|proposal| {
            let bounds: [f64; 4] = serde_json::from_value(proposal["box"].clone()).expect("a box");
            assert!(
                proposal.get("class").is_none(),
                "the class of the model is left out"
            );
            bounds.map(|side| side as i64)
        })
        .collect();
    assert!(proposed.len() >= 2, "{proposed:?}");
    let browser = &mut open(&server, "");
    let count = format!("{} proposed boxes", proposed.len());
    wait_until("the proposals are shown", || {
        browser.text("proposal-count") == count
    });
    browser.press("2");
    browser.press("Enter");
    wait_until_saved(browser);
    assert_stored(&server, "street.png", &[("dog", proposed[0])], None);
    // The next one is selected, and is dismissed.
    browser.press("Delete");
    wait_until("one is left out", || {
        let text = browser.text("proposal-count");
        text.starts_with(&(proposed.len() - 2).to_string())
    });
    save_screenshot(browser, "label-proposals.png");
    browser.press("Shift+Enter");
    wait_until_saved(browser);
    let accepted = proposed.iter().enumerate().filter(|(index, _)| *index != 1);
    let accepted: Vec<_> = accepted.map(|(_, bounds)| ("dog", *bounds)).collect();
    assert_stored(&server, "street.png", &accepted, None);
    browser.press("d");
    wait_for_picture(browser, 1);
    assert_eq!(
        server.stored().len(),
        1,
        "what is not accepted is not stored"
    );
}

#[test]
fn a_picture_with_an_orientation_is_labeled_upright() {
    if tool_is_missing("chromium") {
        return;
    }
    let folder = tempfile::tempdir().expect("created");
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/rotated.jpg");
    std::fs::copy(source, folder.path().join("a.jpg")).expect("copied");
    let upright = boxcam::picture::open(&folder.path().join("a.jpg")).expect("readable");
    let server = Server::start(folder.path(), &["--model", "none", "--classes", "mug"]);
    let browser = &mut open(&server, "");
    let shown = "(() => { const p = document.querySelector('.picture'); return [p.naturalWidth, p.naturalHeight]; })()";
    assert_eq!(
        browser.evaluate(shown),
        json!([upright.width(), upright.height()])
    );
    let (right, bottom) = (
        f64::from(upright.width() / 2),
        f64::from(upright.height() / 4),
    );
    drag(browser, (2.0, 3.0), (right, bottom));
    wait_until_saved(browser);
    let expected = [2, 3, right as i64 - 2, bottom as i64 - 3];
    assert_stored(&server, "a.jpg", &[("mug", expected)], None);
}
