//! boxcam as `cross/build.sh` builds it for ARM, where somebody has had it built.

use std::path::{Path, PathBuf};

/// The cargo arguments for it. `.ci/run` and `cross/board/arm64.sh` have the same, so that one build serves all.
pub(crate) const BUILD: [&str; 6] = [
    "--profile",
    "emulated",
    "--locked",
    "--no-default-features",
    "--features",
    "camera,framebuffer,embedded-model,web",
];

/// Whether boxcam was built for that target before. If not, says so, or fails where everything must be there: a test
/// run for this machine is not to fetch a compiler and build for ARM.
pub(crate) fn is_built(target: &str) -> bool {
    let is_there = program(target).is_file();
    if !is_there {
        let build = BUILD.join(" ");
        let words = format!("boxcam is not built for ARM: cross/build.sh {target} build {build}");
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
