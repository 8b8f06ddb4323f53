//! Processes of the system, from `/proc`.

use std::fs;
use std::path::Path;

#[derive(Debug)]
pub(crate) struct Process {
    state: String,
    parent: u32,
    group: u32,
}

/// Resources of a running program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resources {
    pub(crate) threads: usize,
    pub(crate) files: usize,
    pub(crate) memory_kib: u64,
}

impl Process {
    /// `None` if it has ended.
    fn read(folder: &Path) -> Option<Self> {
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        // The name in parentheses may contain spaces and parentheses.
        let (_, tail) = stat.rsplit_once(") ")?;
        let mut fields = tail.split(' ');
        Some(Self {
            state: fields.next()?.to_owned(),
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }

    fn is_zombie(&self) -> bool {
        self.state == "Z"
    }
}

fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("there").flatten();
    let is_process = |name: &std::ffi::OsStr| name.to_string_lossy().parse::<u32>().is_ok();
    let processes = entries.filter(|entry| is_process(&entry.file_name()));
    processes
        .filter_map(|entry| Process::read(&entry.path()))
        .collect()
}

/// Children of a program that have ended and were not waited for.
pub(crate) fn zombies_of(program: u32) -> Vec<Process> {
    let mut processes = all();
    processes.retain(|process| process.parent == program && process.is_zombie());
    processes
}

/// Processes of these groups that have not ended.
pub(crate) fn alive_in(groups: &[u32]) -> Vec<Process> {
    let mut processes = all();
    processes.retain(|process| groups.contains(&process.group) && !process.is_zombie());
    processes
}

/// Whether a program is stopped by a signal.
pub(crate) fn is_stopped(program: u32) -> bool {
    let process = Process::read(Path::new(&format!("/proc/{program}")));
    process.is_some_and(|process| process.state == "T")
}

pub(crate) fn resources_of(program: u32) -> Resources {
    let folder = format!("/proc/{program}");
    let count = |what: &str| {
        let entries = fs::read_dir(format!("{folder}/{what}"));
        entries.expect("a running program").count()
    };
    let status = fs::read_to_string(format!("{folder}/status")).expect("a running program");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory = memory.and_then(|rest| rest.split_whitespace().next());
    Resources {
        threads: count("task"),
        files: count("fd"),
        memory_kib: memory.expect("a number").parse().expect("a number"),
    }
}
