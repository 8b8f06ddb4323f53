//! Errors of an unusable framebuffer, and the console guard, with the boxcam program. A real screen is tested on a board.
#![cfg(all(feature = "framebuffer", target_os = "linux"))]

use crate::common::TestDir;

#[test]
fn an_unusable_framebuffer_is_an_error_with_a_fix() {
    let work = TestDir::new();
    work.write_solid_image("one.png", "red");
    for (screen, expected) in [
        ("fb:/dev/fb-none", "ls /dev/fb*"),
        ("fb:/dev/null", "not a framebuffer"),
    ] {
        let output = work.run_tiny(&["run", "--source", "one.png", "--display", screen]);
        output.assert_exit_code(5);
        output.assert_stderr_contains(&[expected, &screen["fb:".len()..]]);
    }
}

#[test]
fn the_console_guard_is_not_for_users() {
    let work = TestDir::new();
    let output = work.run(&["console-guard"]);
    output.assert_exit_code(2);
    output.assert_stderr_contains(&["console-guard is started by boxcam itself"]);
    assert!(!work.run(&["--help"]).stdout.contains("guard"));
}
