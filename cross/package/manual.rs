//! Writes the man pages and the shell completions of boxcam, made from its command line: `cargo run --example manual -- FOLDER`.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Command, Parser};
use clap_complete::Shell;

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Fish, Shell::Zsh];

/// Write the man pages and the shell completions of boxcam
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder to write to; it is created
    folder: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Arguments { folder } = Arguments::parse();
    write(boxcam::options::command(), &folder)
        .with_context(|| format!("{}: can't be written to", folder.display()))
}

/// Writes one page for each command, then one file for each shell.
fn write(mut command: Command, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command.clone(), folder)?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut command, "boxcam", folder)?;
    }
    Ok(())
}
