//! The log file, a real one.

use super::super::rotate::numbered;
use super::*;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.jsonl");
    (folder, path)
}

fn write(log: &mut LogFile, text: &str) {
    log.make_ready().expect("is there");
    log.write(text.as_bytes()).expect("written");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("there")
}

#[test]
fn it_is_added_to_and_rotated_before_it_grows_too_long() {
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
    assert_eq!(read(&numbered(&path, 1)), "a line of more than 20 bytes\n");
    assert_eq!(read(&numbered(&path, 2)), "4\n");
    assert!(!numbered(&path, 3).exists());
}

#[test]
fn a_file_that_was_moved_or_deleted_is_made_anew_at_once() {
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
        .expect("cut");
    write(&mut log, "4\n");
    assert_eq!(read(&path), "4\n");
    assert_eq!(read(&path.with_extension("moved")), "1\n");
}

#[test]
fn a_folder_that_is_gone_is_an_error_until_it_is_back() {
    let (folder, _) = folder();
    let below = folder.path().join("below");
    fs::create_dir(&below).expect("made");
    let path = below.join("out.jsonl");
    let mut log = LogFile::open(&path, 100, 1).expect("opened");
    write(&mut log, "1\n");
    fs::remove_dir_all(&below).expect("removed");
    for _ in 0..2 {
        log.make_ready().expect_err("it is gone");
    }
    fs::create_dir(&below).expect("made");
    write(&mut log, "2\n");
    assert_eq!(read(&path), "2\n");
}

#[test]
fn a_torn_line_is_cut_off_and_one_without_its_end_is_ended() {
    let (_folder, path) = folder();
    let cases = [
        ("{\"schema\":1}\n{\"sch", Some(5), "{\"schema\":1}\n"),
        (
            "{\"schema\":1}\n{\"schema\":1}",
            None,
            "{\"schema\":1}\n{\"schema\":1}\n",
        ),
        ("somebody's words", None, "somebody's words\n"),
        ("{", Some(1), ""),
    ];
    for (before, cut, after) in cases {
        fs::write(&path, before).expect("written");
        let mut log = LogFile::open(&path, 100, 1).expect("opened");
        assert_eq!((log.take_cut(), log.take_cut()), (cut, None), "{before}");
        write(&mut log, "1\n");
        assert_eq!(read(&path), format!("{after}1\n"));
    }
}

#[test]
fn two_do_not_write_to_one_file() {
    let (_folder, path) = folder();
    let first = LogFile::open(&path, 100, 1).expect("opened");
    let error = LogFile::open(&path, 100, 1).expect_err("is in use");
    assert!(error.to_string().contains("another boxcam"), "{error}");
    drop(first);
    LogFile::open(&path, 100, 1).expect("is free again");
}

#[test]
fn a_log_that_is_closed_is_free_though_its_file_is_still_shared() {
    let (_folder, path) = folder();
    let first = LogFile::open(&path, 100, 1).expect("opened");
    let open = first.open.as_ref().expect("is open");
    // As a program that is just being started shares it.
    let shared = open.writer.inner().try_clone().expect("shared");
    drop(first);
    LogFile::open(&path, 100, 1).expect("is free again");
    drop(shared);
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_when_rotating() {
    let (folder, path) = folder();
    let link = folder.path().join("link.jsonl");
    std::os::unix::fs::symlink(&path, &link).expect("linked");
    let mut log = LogFile::open(&link, 3, 1).expect("opened");
    write(&mut log, "1\n");
    write(&mut log, "2\n");
    assert_eq!(
        (read(&link), read(&numbered(&path, 1))),
        ("2\n".into(), "1\n".into())
    );
    assert!(link.is_symlink() && !path.is_symlink());
}

#[test]
fn a_file_that_cannot_be_rotated_does_not_grow() {
    let (_folder, path) = folder();
    let mut log = LogFile::open(&path, 3, 1).expect("opened");
    write(&mut log, "1\n");
    fs::create_dir(numbered(&path, 1)).expect("made");
    for _ in 0..2 {
        log.make_ready().expect("is there");
        let error = log.write(b"2\n").expect_err("a folder is in the way");
        assert!(error.to_string().contains("can't be rotated"), "{error}");
    }
    fs::remove_dir(numbered(&path, 1)).expect("removed");
    write(&mut log, "3\n");
    assert_eq!(
        (read(&path), read(&numbered(&path, 1))),
        ("3\n".into(), "1\n".into())
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_written_to_as_it_is() {
    let mut null = LogFile::open(Path::new("/dev/null"), 1, 1).expect("opened");
    write(&mut null, "1\n");
    write(&mut null, "2\n");
    let mut full = LogFile::open(Path::new("/dev/full"), 1, 1).expect("opened");
    full.make_ready().expect("is there");
    let error = full.write(b"1\n").expect_err("is full");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}
