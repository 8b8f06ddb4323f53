//! `cross/package.sh`: what is in the Debian package and in the tarball, by Debian's own tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;
use test_support::tool_is_missing;

use crate::{ScriptOutput, repository, run, script};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const PACKAGE: &str = concat!("boxcam_", env!("CARGO_PKG_VERSION"), "_amd64.deb");
const TARBALL: &str = concat!(
    "boxcam-",
    env!("CARGO_PKG_VERSION"),
    "-x86_64-unknown-linux-gnu.tar.gz"
);

/// Debian's own name of the tool that strips the program.
pub(crate) const STRIP: &str = "x86_64-linux-gnu-strip";

/// Whether something that makes or reads a package is missing.
fn tools_are_missing() -> bool {
    tool_is_missing("dpkg-deb") || tool_is_missing(STRIP)
}

/// The example that the script runs.
pub(crate) fn manual_program() -> PathBuf {
    let own = std::env::current_exe().expect("known");
    let profile = own.ancestors().nth(2).expect("target/PROFILE/deps/device");
    profile.join("examples/manual")
}

/// Man pages and completions.
fn manual(folder: &Path) -> PathBuf {
    let pages = folder.join("manual");
    run(Command::new(manual_program()).arg(&pages)).expect(0, "");
    pages
}

/// Makes the package and the tarball of the program under test in `folder`.
fn make(folder: &Path) -> ScriptOutput {
    make_with(env!("CARGO_BIN_EXE_boxcam"), folder)
}

/// Makes both with another program.
fn make_with(program: &str, folder: &Path) -> ScriptOutput {
    let pages = manual(folder);
    let [pages, output] = [&pages, folder].map(|path| path.to_str().expect("plain"));
    let arguments = [
        TARGET,
        "--binary",
        program,
        "--manual",
        pages,
        "--output",
        output,
        "--maintainer",
        "A Maintainer <maintainer@debian.org>",
    ];
    script("package.sh", &arguments)
}

/// A folder with both files, made once for all tests.
fn made() -> &'static Path {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    let folder = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let output = make(folder.path()).expect(0, PACKAGE);
        assert!(output.text.contains(TARBALL), "{}", output.text);
        folder
    });
    folder.path()
}

/// Runs a program of Debian on a file.
fn debian(program: &str, arguments: &[&str], file: &Path) -> ScriptOutput {
    run(Command::new(program).args(arguments).arg(file))
}

#[test]
fn every_command_has_a_man_page_and_every_shell_its_completions() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = manual(folder.path());
    let read = |name: &str| fs::read_to_string(pages.join(name)).expect(name);
    for command in boxcam::options::command().get_subcommands() {
        let page = pages.join(format!("boxcam-{}.1", command.get_name()));
        assert_eq!(page.exists(), !command.is_hide_set(), "{}", page.display());
    }
    assert!(read("boxcam-run.1").contains(r"\-\-source"));
    for name in ["boxcam.bash", "boxcam.fish", "_boxcam"] {
        let text = read(name);
        assert!(
            text.contains("evaluate") && text.contains("source"),
            "{name}"
        );
    }
}

#[test]
fn the_package_has_the_program_its_service_and_its_options() {
    if tools_are_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let package = made().join(PACKAGE);
    let about = debian("dpkg-deb", &["--info"], &package).expect(0, "Architecture: amd64");
    assert!(
        about
            .text
            .contains(concat!("Version: ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    let root = folder.path().join("root");
    run(Command::new("dpkg-deb")
        .arg("--extract")
        .args([&package, &root]))
    .expect(0, "");
    let read = |path: &str| fs::read_to_string(root.join(path)).expect(path);
    run(Command::new(root.join("usr/bin/boxcam")).arg("--version"))
        .expect(0, env!("CARGO_PKG_VERSION"));
    let unit = read("usr/lib/systemd/system/boxcam.service");
    assert!(unit.contains("\nExecStart=/usr/bin/boxcam run --config /etc/boxcam/boxcam.toml\n"));
    assert!(
        !unit.contains("install.sh"),
        "the unit is the package's own"
    );
    let control = folder.path().join("control");
    run(Command::new("dpkg-deb")
        .arg("--control")
        .args([&package, &control]))
    .expect(0, "");
    let conffiles = fs::read_to_string(control.join("conffiles")).expect("there");
    assert_eq!(conffiles, "/etc/boxcam/boxcam.toml\n");
    let options = root.join("etc/boxcam/boxcam.toml");
    // The options are sound: the model that they name is in the package, and a source can be set in front of them.
    let models = root.join("usr/share/boxcam/models");
    let text = fs::read_to_string(&options).expect("there");
    let model = text.lines().find_map(|line| line.strip_prefix("model = "));
    let model = model.expect("the options name a model").trim_matches('"');
    assert!(models.join(format!("{model}.onnx")).exists(), "{model}");
}

#[test]
fn lintian_finds_no_error_in_the_package() {
    if tools_are_missing() || tool_is_missing("lintian") {
        return;
    }
    let arguments = ["--allow-root", "--fail-on", "error"];
    let report = debian("lintian", &arguments, &made().join(PACKAGE)).expect(0, "");
    assert!(!report.text.contains("\nE: "), "{}", report.text);
}

/// The names of a program's sections.
fn sections(program: &Path) -> String {
    let wide = ["--section-headers", "--wide"];
    debian("readelf", &wide, program).expect(0, ".text").text
}

#[test]
fn the_program_is_stripped_in_the_package_and_in_the_tarball() {
    if tools_are_missing() || tool_is_missing("readelf") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    run(Command::new("dpkg-deb")
        .arg("--extract")
        .args([&made().join(PACKAGE), folder.path()]))
    .expect(0, "");
    let built = Path::new(env!("CARGO_BIN_EXE_boxcam"));
    assert!(sections(built).contains(" .symtab "), "nothing to strip");
    unpack_tarball(folder.path());
    for program in ["usr/bin/boxcam", "bin/boxcam"] {
        let found = sections(&folder.path().join(program));
        for section in [" .symtab ", " .strtab ", " .comment ", " .debug_"] {
            assert!(!found.contains(section), "{program}: {found}");
        }
        assert!(found.contains(" .note.gnu.build-id "), "{program}: {found}");
    }
}

#[test]
fn the_same_program_gives_the_same_package_again() {
    if tools_are_missing() {
        return;
    }
    let again = tempfile::tempdir().expect("a folder");
    make(again.path()).expect(0, TARBALL);
    for file in [PACKAGE, TARBALL] {
        let [first, second] = [made(), again.path()].map(|folder| fs::read(folder.join(file)));
        assert!(first.expect("there") == second.expect("there"), "{file}");
    }
}

/// Unpacks the tarball's files into `folder`, without the folder of its own.
fn unpack_tarball(folder: &Path) {
    run(Command::new("tar")
        .arg("-xzf")
        .arg(made().join(TARBALL))
        .args(["--strip-components=1", "-C"])
        .arg(folder))
    .expect(0, "");
}

#[test]
fn the_tarball_runs_from_any_folder() {
    if tools_are_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("anywhere");
    fs::create_dir(&root).expect("created");
    unpack_tarball(&root);
    run(Command::new(root.join("bin/boxcam")).arg("--version"))
        .expect(0, env!("CARGO_PKG_VERSION"));
    for file in [
        "LICENSE-MIT",
        "share/man/man1/boxcam-run.1.gz",
        "share/boxcam/models/coco.onnx",
    ] {
        assert!(root.join(file).exists(), "{file}");
    }
    let models = run(Command::new(root.join("bin/boxcam")).args(["models", "--json"]));
    let own = root.join("share/boxcam/models/snacks-small.onnx");
    models.expect(0, own.to_str().expect("plain"));
}

#[test]
fn what_cannot_be_packed_is_named() {
    script("package.sh", &["mips-unknown-linux-gnu"]).expect(2, "unknown target mips");
    script("package.sh", &[TARGET, "--binary", "/nowhere"]).expect(3, "/nowhere does not exist");
    script("package.sh", &[TARGET, "--maintainer"]).expect(2, "--maintainer needs a value");
    if tools_are_missing() {
        return;
    }
    let text = repository("README.md");
    let folder = tempfile::tempdir().expect("a folder");
    make_with(text.to_str().expect("plain"), folder.path())
        .expect(3, "it is no program for x86_64-unknown-linux-gnu");
}
