use super::*;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("created");
    let path = folder.path().join("out.jsonl");
    (folder, path)
}

fn write(log: &mut LogFile, text: &str) {
    log.make_ready().expect("ready");
    log.write(text.as_bytes()).expect("written");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("readable")
}

#[test]
fn the_file_is_appended_to_and_rotated_before_it_becomes_too_long() {
    let (_folder, path) = folder();
    fs::write(&path, "{\"schema\":0}\n").expect("written");
    let mut log = LogFile::open(&path, 20, 2).expect("opened");
    for line in [
        "1\n",
        "2\n",
        "3\n",
        "4\n",
        "a line of more than 20 bytes\n",
        "5\n",
    ] {
        write(&mut log, line);
    }
    assert_eq!(read(&path), "5\n");
    assert_eq!(
        read(&rotated_path(&path, 1)),
        "a line of more than 20 bytes\n"
    );
    assert_eq!(read(&rotated_path(&path, 2)), "4\n");
    assert!(!rotated_path(&path, 3).exists());
}

#[test]
fn a_moved_or_deleted_file_is_recreated_at_once() {
    let (_folder, path) = folder();
    let mut log = LogFile::open(&path, 100, 1).expect("opened");
    write(&mut log, "1\n");
    fs::rename(&path, path.with_extension("moved")).expect("moved");
    write(&mut log, "2\n");
    assert_eq!(read(&path), "2\n");
    fs::remove_file(&path).expect("removed");
    write(&mut log, "3\n");
    assert_eq!(read(&path), "3\n");
    // As logrotate's copytruncate does.
    File::options()
        .write(true)
        .truncate(true)
        .open(&path)
        .expect("truncated");
    write(&mut log, "4\n");
    assert_eq!(read(&path), "4\n");
    assert_eq!(read(&path.with_extension("moved")), "1\n");
}

#[test]
fn a_missing_folder_is_an_error_until_it_exists_again() {
    let (folder, _) = folder();
    let subfolder = folder.path().join("subfolder");
    fs::create_dir(&subfolder).expect("created");
    let path = subfolder.join("out.jsonl");
    let mut log = LogFile::open(&path, 100, 1).expect("opened");
    write(&mut log, "1\n");
    fs::remove_dir_all(&subfolder).expect("removed");
    for _ in 0..2 {
        log.make_ready().expect_err("the folder is missing");
    }
    fs::create_dir(&subfolder).expect("created");
    write(&mut log, "2\n");
    assert_eq!(read(&path), "2\n");
}

#[test]
fn a_truncated_line_is_removed_and_a_missing_line_break_added() {
    let (_folder, path) = folder();
    let cases = [
        ("{\"schema\":1}\n{\"sch", Some(5), "{\"schema\":1}\n"),
        (
            "{\"schema\":1}\n{\"schema\":1}",
            None,
            "{\"schema\":1}\n{\"schema\":1}\n",
        ),
        ("another program's line", None, "another program's line\n"),
        ("{", Some(1), ""),
    ];
    for (before, removed, after) in cases {
        fs::write(&path, before).expect("written");
        let mut log = LogFile::open(&path, 100, 1).expect("opened");
        assert_eq!(
            (log.take_truncation(), log.take_truncation()),
            (removed, None),
            "{before}"
        );
        write(&mut log, "1\n");
        assert_eq!(read(&path), format!("{after}1\n"));
    }
}

#[test]
fn a_file_is_locked_against_a_second_writer() {
    let (_folder, path) = folder();
    let first = LogFile::open(&path, 100, 1).expect("opened");
    let error = LogFile::open(&path, 100, 1).expect_err("is locked");
    assert!(error.to_string().contains("another boxcam"), "{error}");
    drop(first);
    LogFile::open(&path, 100, 1).expect("is unlocked");
}

#[test]
fn a_closed_log_is_unlocked_though_a_child_process_shares_the_file() {
    let (_folder, path) = folder();
    let first = LogFile::open(&path, 100, 1).expect("opened");
    let open = first.open.as_ref().expect("open");
    // As a child process does before it calls `exec`.
    let shared = open.writer.inner().try_clone().expect("shared");
    drop(first);
    LogFile::open(&path, 100, 1).expect("is unlocked");
    drop(shared);
}

#[cfg(unix)]
#[test]
fn rotation_follows_symbolic_links() {
    let (folder, path) = folder();
    let link = folder.path().join("link.jsonl");
    std::os::unix::fs::symlink(&path, &link).expect("linked");
    let mut log = LogFile::open(&link, 3, 1).expect("opened");
    write(&mut log, "1\n");
    write(&mut log, "2\n");
    assert_eq!(
        (read(&link), read(&rotated_path(&path, 1))),
        ("2\n".into(), "1\n".into())
    );
    assert!(link.is_symlink() && !path.is_symlink());
}

#[test]
fn a_file_that_cannot_be_rotated_does_not_grow() {
    let (_folder, path) = folder();
    let mut log = LogFile::open(&path, 3, 1).expect("opened");
    write(&mut log, "1\n");
    fs::create_dir(rotated_path(&path, 1)).expect("created");
    for _ in 0..2 {
        log.make_ready().expect("ready");
        let error = log.write(b"2\n").expect_err("a folder has that name");
        assert!(error.to_string().contains("can't be rotated"), "{error}");
    }
    fs::remove_dir(rotated_path(&path, 1)).expect("removed");
    write(&mut log, "3\n");
    assert_eq!(
        (read(&path), read(&rotated_path(&path, 1))),
        ("3\n".into(), "1\n".into())
    );
}

#[cfg(target_os = "linux")]
#[test]
fn devices_are_neither_repaired_nor_rotated() {
    let mut null = LogFile::open(Path::new("/dev/null"), 1, 1).expect("opened");
    write(&mut null, "1\n");
    write(&mut null, "2\n");
    let mut full = LogFile::open(Path::new("/dev/full"), 1, 1).expect("opened");
    full.make_ready().expect("ready");
    let error = full.write(b"1\n").expect_err("no space");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

/// The contents of the log and its rotated files; index 0 is the log itself.
fn contents(path: &Path, keep: u32) -> Vec<Option<String>> {
    let rotated = (1..=keep + 1).map(|number| rotated_path(path, number));
    let all = std::iter::once(path.to_path_buf()).chain(rotated);
    all.map(|path| fs::read_to_string(path).ok()).collect()
}

fn log(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("created");
    let path = folder.path().join("out.jsonl");
    fs::write(&path, text).expect("written");
    (folder, path)
}

#[test]
fn the_newest_files_are_kept() {
    for keep in 0..4 {
        let (_folder, path) = log("");
        for number in 0..6 {
            fs::write(&path, format!("{number}")).expect("written");
            rotate(&path, keep).expect("rotated");
        }
        let kept = (0..keep).map(|age| Some((5 - age).to_string()));
        let expected: Vec<_> = [None].into_iter().chain(kept).chain([None]).collect();
        assert_eq!(contents(&path, keep), expected);
    }
}

#[test]
fn an_interrupted_rotation_loses_nothing() {
    // The state after the first `done` renames, from the last number down.
    for done in 0..4 {
        let (_folder, path) = log("e");
        for (number, text) in [(1, "d"), (2, "c"), (3, "b")] {
            let number = if number > 3 - done {
                number + 1
            } else {
                number
            };
            fs::write(rotated_path(&path, number), text).expect("written");
        }
        rotate(&path, 5).expect("rotated");
        fs::write(&path, "f").expect("written");
        rotate(&path, 5).expect("rotated");
        let found: Vec<_> = contents(&path, 5).into_iter().flatten().collect();
        assert_eq!(found, ["f", "e", "d", "c", "b"], "{done} renames were done");
    }
}

#[test]
fn a_log_that_cannot_be_rotated_keeps_its_name() {
    let (_folder, path) = log("a");
    fs::create_dir(rotated_path(&path, 1)).expect("created");
    rotate(&path, 1).expect_err("a folder has that name");
    assert_eq!(contents(&path, 0)[0].as_deref(), Some("a"));
}
