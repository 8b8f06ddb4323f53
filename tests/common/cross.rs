//! boxcam as `cross/build.sh --emulated` builds it for ARM, where somebody has had it built.

use std::path::{Path, PathBuf};

/// Whether boxcam was built for that target before. If not, says so, or fails where everything must be there: a test
/// run for this machine is not to fetch a compiler and build for ARM.
pub(crate) fn is_built(target: &str) -> bool {
    let is_there = program(target).is_file();
    if !is_there {
        let words =
            format!("boxcam is not built for ARM: cross/build.sh {target} --emulated build");
        assert!(std::env::var_os("BOXCAM_REQUIRE_ALL").is_none(), "{words}");
        eprintln!("SKIPPED: {words}");
    }
    is_there
}

/// Where it lies.
fn program(target: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let built = built.unwrap_or_else(|| root.join("target"));
    built.join("cross").join(target).join("emulated/boxcam")
}
