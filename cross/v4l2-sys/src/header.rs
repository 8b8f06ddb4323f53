//! The test that asks a C compiler whether `linux/videodev2.h` says the same.
//!
//! The claims go into a C file as static assertions, which is compiled but not run, so that a
//! compiler for another machine will do. The environment variable `CC` names the compiler.

use crate::layout::layouts;
use crate::requests::REQUESTS;
use crate::*;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The C file's beginning: before Linux 6.1 some of the fields had other names.
const PROBE: &str = "
#include <stddef.h>
#include <linux/version.h>
#include <linux/videodev2.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error The header is older than Linux 6.1.
#endif
";

macro_rules! constants {
    ($($name:ident)+) => { [$((stringify!($name), $name)),+] };
}

/// Checks a C file; the error is what the compiler said, or why there is none.
fn check(source: &str) -> Result<(), String> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut command = Command::new(&compiler);
    command.args(["-std=gnu11", "-fsyntax-only", "-x", "c", "-"]);
    if cfg!(target_pointer_width = "32") {
        // The kernel's first form of a time, which the C library may not choose by itself.
        command.args(["-U_TIME_BITS", "-D_TIME_BITS=32"]);
        command.args(["-U_FILE_OFFSET_BITS", "-D_FILE_OFFSET_BITS=32"]);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{compiler}: {e}"))?;
    let mut input = child.stdin.take().expect("the compiler's input is piped");
    // A compiler that gives up early closes its input; its exit status tells.
    let _ = input.write_all(source.as_bytes());
    drop(input);
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Why nothing can be compared here, or nothing if it can.
fn obstacle() -> Option<String> {
    if cfg!(all(target_env = "musl", target_pointer_width = "32")) {
        return Some("musl has only 64-bit times, and this crate 32-bit ones".to_owned());
    }
    if let Err(why) = check(PROBE) {
        return Some(why);
    }
    let (bytes, align) = (size_of::<*const u8>(), align_of::<u64>());
    let machine = format!(
        "{PROBE}struct word {{ char before; unsigned long long number; }};
        _Static_assert(sizeof(void *) == {bytes}, \"\");
        _Static_assert(offsetof(struct word, number) == {align}, \"\");\n"
    );
    check(&machine)
        .err()
        .map(|_| "the C compiler is for another machine; set CC".to_owned())
}

/// A C name: the Rust one, less what keeps it apart from a keyword.
fn c_name(name: &str) -> &str {
    name.strip_suffix('_').unwrap_or(name)
}

/// Everything this crate says about the header, as static assertions.
fn claims() -> String {
    let mut claims = PROBE.to_owned();
    let mut claim = |left: &str, right: usize| {
        writeln!(claims, "_Static_assert({left} == {right}u, \"{left}\");")
            .expect("a string takes any text");
    };
    for layout in layouts() {
        let name = layout.name;
        claim(&format!("sizeof(struct {name})"), layout.size);
        claim(&format!("_Alignof(struct {name})"), layout.align);
        let named = |name: &str| !name.starts_with("__bindgen_anon");
        for field in layout.fields.iter().filter(|field| named(field.name)) {
            let path = c_name(field.name);
            claim(&format!("offsetof(struct {name}, {path})"), field.offset);
            claim(&format!("sizeof(((struct {name} *)0)->{path})"), field.size);
        }
    }
    for (name, offset) in anonymous() {
        claim(&format!("offsetof({name})"), offset);
    }
    for (name, number) in REQUESTS {
        claim(&format!("(unsigned)({name})"), *number);
    }
    for (name, value) in constants() {
        // bindgen puts the enumeration's name before the value's.
        let name = name.find("V4L2_").map_or(name, |at| &name[at..]);
        claim(&format!("(unsigned)({name})"), value as usize);
    }
    claims
}

/// The unions without a name in C, by one of their members.
fn anonymous() -> [(&'static str, usize); 8] {
    use core::mem::offset_of;
    [
        (
            "struct v4l2_pix_format, ycbcr_enc",
            offset_of!(v4l2_pix_format, __bindgen_anon_1.ycbcr_enc),
        ),
        (
            "struct v4l2_buffer, request_fd",
            offset_of!(v4l2_buffer, __bindgen_anon_1.request_fd),
        ),
        (
            "struct v4l2_ext_control, value64",
            offset_of!(v4l2_ext_control, __bindgen_anon_1.value64),
        ),
        (
            "struct v4l2_ext_controls, which",
            offset_of!(v4l2_ext_controls, __bindgen_anon_1.which),
        ),
        (
            "struct v4l2_querymenu, value",
            offset_of!(v4l2_querymenu, __bindgen_anon_1.value),
        ),
        (
            "struct v4l2_frmsizeenum, stepwise",
            offset_of!(v4l2_frmsizeenum, __bindgen_anon_1.stepwise),
        ),
        (
            "struct v4l2_frmivalenum, stepwise",
            offset_of!(v4l2_frmivalenum, __bindgen_anon_1.stepwise),
        ),
        (
            "struct v4l2_encoder_cmd, raw.data",
            offset_of!(v4l2_encoder_cmd, __bindgen_anon_1.raw.data),
        ),
    ]
}

/// The constants that go by a name.
fn constants() -> [(&'static str, u32); 23] {
    constants! {
        V4L2_CTRL_FLAG_NEXT_CTRL V4L2_CTRL_FLAG_NEXT_COMPOUND
        V4L2_CID_BRIGHTNESS V4L2_CID_CONTRAST V4L2_CID_SATURATION V4L2_CID_HUE V4L2_CID_GAMMA
        V4L2_CID_EXPOSURE V4L2_CID_GAIN V4L2_CID_WHITE_BALANCE_TEMPERATURE V4L2_CID_SHARPNESS
        V4L2_CID_BACKLIGHT_COMPENSATION V4L2_CID_PAN_RELATIVE V4L2_CID_TILT_RELATIVE
        V4L2_CID_FOCUS_RELATIVE V4L2_CID_ZOOM_RELATIVE V4L2_CID_IRIS_RELATIVE
        v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE
        v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_CONTINUOUS
        v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_STEPWISE
        v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE
        v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_CONTINUOUS
        v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_STEPWISE
    }
}

#[test]
fn the_c_header_says_the_same() {
    if let Some(why) = obstacle() {
        test_support::skip!("linux/videodev2.h cannot be compared: {why}");
        return;
    }
    if let Err(differences) = check(&claims()) {
        panic!("the header differs:\n{differences}");
    }
}

#[test]
fn a_wrong_claim_is_noticed() {
    if obstacle().is_none() {
        let wrong = format!("{PROBE}_Static_assert(sizeof(struct v4l2_buffer) == 1, \"\");\n");
        assert!(check(&wrong).is_err());
    }
}
