//! boxcam for ARM, as `cross/build.sh TARGET --emulated build` builds it.

use std::path::{Path, PathBuf};

use test_support::skip;

/// Whether boxcam has been built for that target; if not, the test is skipped. Tests do not download a compiler and
/// cross-compile by themselves.
pub(crate) fn is_built(target: &str) -> bool {
    let is_built = program(target).is_file();
    if !is_built {
        skip!("boxcam is not built for ARM: run cross/build.sh {target} --emulated build");
    }
    is_built
}

fn program(target: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let built = built.unwrap_or_else(|| root.join("target"));
    built.join("cross").join(target).join("emulated/boxcam")
}
