//! The two ways to build for a board, and the check of what came out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::{repository, script};

/// The targets that cross/build.sh knows.
const TARGETS: [&str; 2] = ["aarch64-unknown-linux-gnu", "armv7-unknown-linux-gnueabihf"];

#[test]
fn cross_and_build_sh_take_the_same_compilers() {
    let text = fs::read_to_string(repository("Cross.toml")).expect("the link is sound");
    let settings: toml::Table = text.parse().expect("sound");
    let targets = settings["target"].as_table().expect("a table");
    let names: BTreeSet<_> = targets.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(TARGETS));
    let ours = fs::read_to_string(repository("cross/build.sh")).expect("there");
    for (target, about) in targets {
        assert!(
            ours.contains(&format!("{target}) architecture=")),
            "{target}"
        );
        let image = about["dockerfile"].as_table().expect("a table");
        let (file, context) = (&image["file"], &image["context"]);
        let [file, context] = [file, context].map(|path| path.as_str().expect("a path"));
        let image = fs::read_to_string(repository(file)).expect("there");
        // Both install by this script, from the list beside it.
        let name = "build/install.sh";
        assert!(image.contains(&format!("COPY {name} build/packages.txt /opt/build/")));
        assert!(image.contains("RUN /opt/build/install.sh arm64 armhf"));
        assert!(ours.contains(&format!("\"$here/{name}\" \"$architecture\"")));
        assert!(repository(context).join(name).exists());
        // What build.sh tells cargo, the image tells it too.
        let upper = target.to_uppercase().replace('-', "_");
        let lower = target.replace('-', "_");
        let triple = target.replace("unknown-", "").replace("armv7", "arm");
        assert!(ours.contains(&format!("triple={triple} ")), "{triple}");
        assert!(image.contains(&format!("CARGO_TARGET_{upper}_LINKER={triple}-gcc")));
        assert!(image.contains(&format!("-L /usr/{triple}\"")));
        assert!(image.contains(&format!("CC_{lower}={triple}-gcc")));
    }
}

#[test]
fn a_program_of_another_machine_is_found_out() {
    let here = env!("CARGO_BIN_EXE_boxcam");
    if cfg!(any(target_arch = "aarch64", target_arch = "arm")) {
        script("check.sh", &[here]).expect(0, "glibc at least");
    } else {
        script("check.sh", &[here]).expect(1, "WRONG: not an ARM processor");
    }
    let output =
        script("check.sh", &["--glibc", "2.4", "--size", "1", here]).expect(1, "at most 2.4");
    assert!(
        output.text.contains("WRONG: at most 1 MiB"),
        "{}",
        output.text
    );
    assert!(Path::new(here).exists());
    let text = repository("README.md");
    script("check.sh", &[text.to_str().expect("plain")]).expect(1, "is not a program");
}
