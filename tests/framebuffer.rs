//! A screen that can't be used, and the guard of the console, through the program. What is seen on a real screen
//! is for a machine that has one.
#![cfg(all(feature = "framebuffer", target_os = "linux"))]

mod common;

use common::TestDir;

#[test]
fn a_screen_that_cannot_be_used_is_an_error_that_says_what_to_do() {
    let work = TestDir::new();
    work.write_solid_image("one.png", "red");
    for (screen, words) in [
        ("fb:/dev/fb-none", "ls /dev/fb*"),
        ("fb:/dev/null", "no framebuffer"),
    ] {
        let said = work.run_tiny(&["run", "--source", "one.png", "--display", screen]);
        said.assert_exit_code(5);
        said.assert_stderr_contains(&[words, &screen["fb:".len()..]]);
    }
}

#[test]
fn the_guard_of_the_console_is_not_for_people() {
    let work = TestDir::new();
    let said = work.run(&["console-guard"]);
    said.assert_exit_code(2);
    said.assert_stderr_contains(&["boxcam starts console-guard by itself"]);
    assert!(!work.run(&["--help"]).stdout.contains("guard"));
}
