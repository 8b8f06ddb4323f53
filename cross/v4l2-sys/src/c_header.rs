//! Compares this crate with `linux/videodev2.h` by a C compiler.
//!
//! Layouts and constants are written into a C file as static assertions. The file is compiled but not run, so a
//! cross-compiler can be used. The environment variable `CC` names the compiler.

use crate::abi::{REQUESTS, layouts};
use crate::*;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

/// The start of the C file. Before Linux 6.1 some fields had other names.
const PRELUDE: &str = "
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

/// Compiles a C file; the error has the compiler's output.
fn compile(source: &str) -> io::Result<()> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut command = Command::new(&compiler);
    command.args(["-std=gnu11", "-fsyntax-only", "-x", "c", "-"]);
    if cfg!(target_pointer_width = "32") {
        // Selects the 32-bit time, which is not the default of every C library.
        command.args(["-U_TIME_BITS", "-D_TIME_BITS=32"]);
        command.args(["-U_FILE_OFFSET_BITS", "-D_FILE_OFFSET_BITS=32"]);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{compiler}: {error}")))?;
    let mut input = child.stdin.take().expect("the compiler's input is piped");
    // A compiler that fails early closes its input; the exit status is checked below.
    let _ = input.write_all(source.as_bytes());
    drop(input);
    let output = child.wait_with_output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    }
}

/// Why the comparison is not possible, or `None` if it is.
fn skip_reason() -> Option<String> {
    if cfg!(all(target_env = "musl", target_pointer_width = "32")) {
        return Some("musl has only 64-bit times, and this crate 32-bit ones".to_owned());
    }
    if let Err(error) = compile(PRELUDE) {
        return Some(error.to_string());
    }
    let (bytes, align) = (size_of::<*const u8>(), align_of::<u64>());
    let machine = format!(
        "{PRELUDE}struct word {{ char before; unsigned long long number; }};
        _Static_assert(sizeof(void *) == {bytes}, \"\");
        _Static_assert(offsetof(struct word, number) == {align}, \"\");\n"
    );
    compile(&machine)
        .err()
        .map(|_| "the C compiler is for another machine; set CC".to_owned())
}

/// The C name of a field: without the underscore that avoids a Rust keyword.
fn c_name(name: &str) -> &str {
    name.strip_suffix('_').unwrap_or(name)
}

/// All layouts, request numbers and constants as static assertions.
fn assertions() -> String {
    let mut assertions = PRELUDE.to_owned();
    let mut assert_equal = |left: &str, right: usize| {
        writeln!(
            assertions,
            "_Static_assert({left} == {right}u, \"{left}\");"
        )
        .expect("writing to a string can't fail");
    };
    for layout in layouts() {
        let name = layout.name;
        assert_equal(&format!("sizeof(struct {name})"), layout.size);
        assert_equal(&format!("_Alignof(struct {name})"), layout.align);
        let named = |name: &str| !name.starts_with("__bindgen_anon");
        for field in layout.fields.iter().filter(|field| named(field.name)) {
            let path = c_name(field.name);
            assert_equal(&format!("offsetof(struct {name}, {path})"), field.offset);
            assert_equal(&format!("sizeof(((struct {name} *)0)->{path})"), field.size);
        }
    }
    for (name, offset) in anonymous() {
        assert_equal(&format!("offsetof({name})"), offset);
    }
    for (name, number) in REQUESTS {
        assert_equal(&format!("(unsigned)({name})"), *number);
    }
    for (name, value) in constants() {
        // bindgen prefixes a value with the name of its enumeration.
        let name = name.find("V4L2_").map_or(name, |at| &name[at..]);
        assert_equal(&format!("(unsigned)({name})"), value as usize);
    }
    assertions
}

/// The offsets of unions without a name in C, by one of their members.
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
fn everything_matches_the_c_header() {
    if let Some(why) = skip_reason() {
        test_support::skip!("linux/videodev2.h cannot be compared: {why}");
        return;
    }
    if let Err(differences) = compile(&assertions()) {
        panic!("the header differs:\n{differences}");
    }
}

#[test]
fn a_wrong_size_is_detected() {
    if skip_reason().is_none() {
        let wrong = format!("{PRELUDE}_Static_assert(sizeof(struct v4l2_buffer) == 1, \"\");\n");
        assert!(compile(&wrong).is_err());
    }
}
