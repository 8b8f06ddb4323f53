//! Many pictures, and several windows at once.

use test_support::tool_is_missing;

use super::page::{assert_stored, drag, open, wait_for_picture, wait_until_saved};
use super::{Server, boxes, folder, scene, wait_until};

const MANY: usize = 5000;

/// The thumbnails that the page has asked for.
fn thumbnails(browser: &mut super::browser::Browser) -> u64 {
    let requests = "performance.getEntriesByType('resource').filter((e) => e.name.includes('/thumbnail')).length";
    browser.evaluate(requests).as_u64().expect("a count")
}

#[test]
fn five_thousand_pictures_load_only_the_thumbnails_that_can_be_seen() {
    if tool_is_missing("chromium") {
        return;
    }
    let folder = folder(&[("00000.png", image::RgbImage::new(64, 48))]);
    let first = folder.path().join("00000.png");
    for number in 1..MANY {
        std::fs::hard_link(&first, folder.path().join(format!("{number:05}.png"))).expect("linked");
    }
    let server = Server::start(folder.path(), &["--model", "none", "--classes", "mug"]);
    let browser = &mut open(&server, "");
    browser.evaluate("performance.setResourceTimingBufferSize(20000)");
    let visible = |browser: &mut super::browser::Browser| {
        let loaded = "[...document.querySelectorAll('.tile')].every((tile) => tile.querySelector('img').naturalWidth > 0)";
        wait_until("the thumbnails are loaded", || {
            browser.evaluate(loaded) == true
        });
    };
    visible(browser);
    assert!(thumbnails(browser) < 30, "{}", thumbnails(browser));
    browser.press("End");
    wait_for_picture(browser, MANY as u64 - 1);
    visible(browser);
    assert!(thumbnails(browser) < 60, "{}", thumbnails(browser));
    let tiles = browser.evaluate("document.querySelectorAll('.tile').length");
    assert!(tiles.as_u64().expect("a count") < 30, "{tiles}");
    assert_eq!(browser.text("position"), "5,000 / 5,000");
    drag(browser, (10.0, 10.0), (40.0, 30.0));
    wait_until_saved(browser);
    assert_stored(&server, "04999.png", &[("mug", [10, 10, 30, 20])], None);
    assert_eq!(browser.text("labeled"), "1 of 5,000 labeled");
}

#[test]
fn two_windows_do_not_lose_each_others_work() {
    if tool_is_missing("chromium") {
        return;
    }
    let folder = folder(&[("a.png", scene(1)), ("b.png", scene(2))]);
    let server = Server::start(folder.path(), &["--model", "none", "--classes", "mug"]);
    let mine = &mut open(&server, "");
    // What another window does is shown in this one.
    server.label(0, &boxes(&[("mug", [10, 20, 200, 100])], None));
    wait_until("the box of the other window is shown", || {
        mine.text("boxes").contains("200")
    });
    // A change that crosses another one: this window does not hear of it before it sends its own.
    mine.evaluate("Object.defineProperty(document, 'hidden', { value: true })");
    // Requests that are on their way are answered before this one.
    mine.evaluate("fetch('state').then((response) => response.text()).then(() => null)");
    server.label(0, &boxes(&[("mug", [10, 20, 300, 100])], Some(true)));
    assert!(mine.text("boxes").contains("200"));
    drag(mine, (400.0, 300.0), (500.0, 400.0));
    wait_until("the change is refused", || {
        mine.text("toast-text").contains("was not saved")
    });
    assert_stored(&server, "a.png", &[("mug", [10, 20, 300, 100])], Some(true));
    assert!(mine.text("boxes").contains("300"), "{}", mine.text("boxes"));
    // It can still be stored.
    mine.evaluate("document.getElementById('toast-action').click()");
    wait_until_saved(mine);
    let both = [("mug", [10, 20, 200, 100]), ("mug", [400, 300, 100, 100])];
    assert_stored(&server, "a.png", &both, None);
}

#[test]
fn a_change_is_sent_again_after_the_server_was_started_again() {
    if tool_is_missing("chromium") {
        return;
    }
    let folder = folder(&[("a.png", scene(1))]);
    let server = Server::start(folder.path(), &["--model", "none", "--classes", "mug"]);
    let browser = &mut open(&server, "");
    drag(browser, (100.0, 100.0), (200.0, 180.0));
    wait_until_saved(browser);
    let port = server.address.port().to_string();
    server.kill();
    drag(browser, (300.0, 300.0), (400.0, 380.0));
    wait_until("the page says that it is not saved", || {
        browser.text("status").to_lowercase().contains("not saved")
    });
    let server = Server::start(folder.path(), &["--model", "none", "--port", &port]);
    wait_until_saved(browser);
    let both = [("mug", [100, 100, 100, 80]), ("mug", [300, 300, 100, 80])];
    assert_stored(&server, "a.png", &both, None);
}
