//! Every command of boxcam-train in the documents has valid commands, options and values.

use std::path::Path;

use crate::common::boxcam_train;

const DOCUMENTS: [&str; 10] = [
    "train/README.md",
    "models/README.md",
    "docs/chapter.md",
    "docs/datasets.md",
    "docs/import.md",
    "docs/labeling.md",
    "docs/measurements.md",
    "docs/quantisation.md",
    "docs/threshold.md",
    "docs/training.md",
];

/// What commands start with.
const STARTS: [&str; 3] = ["boxcam-train -- ", "boxcam-train ", "bt "];

/// The arguments of all commands in a document's indented blocks.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let text = text.replace("\\\n", " ");
    // A block that checks out another commit has the options of that commit.
    let blocks = text.split("\n\n");
    for line in blocks
        .filter(|block| !block.contains("git checkout"))
        .flat_map(str::lines)
    {
        let is_wgpu = line.contains("--features wgpu -- ");
        let line = line.replace("--features wgpu -- ", "-- ");
        let code = line.strip_prefix("    ").unwrap_or_default();
        let Some((before, command)) = STARTS.iter().find_map(|start| code.split_once(start)) else {
            continue;
        };
        if before.contains("cargo build") || before.contains("alias") {
            continue;
        }
        // Words in quotes are one argument; two spaces separate a command from its description.
        let command = command.trim_start().replace("; }", "");
        let command = match command.find("  ") {
            Some(end) if command[end..].trim_start().starts_with(char::is_alphabetic) => {
                &command[..end]
            }
            _ => &command,
        };
        let parts = command.split('"').enumerate();
        let quoted = parts.flat_map(|(index, part)| -> Vec<String> {
            match index % 2 {
                0 => part.split_whitespace().map(str::to_owned).collect(),
                _ => vec![part.to_owned()],
            }
        });
        // The device of a build with another feature, and all arguments of a shell function.
        let is_kept = |word: &String| {
            let is_device = ["--device", "wgpu"].contains(&word.as_str());
            !(word.contains("${") || is_wgpu && is_device)
        };
        let variable = |word: String| match word.contains('$') {
            true => "1".to_owned(),
            false => word,
        };
        commands.push(quoted.filter(is_kept).map(variable).collect());
    }
    commands
}

#[test]
fn all_commands_in_the_documents_are_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut count = 0;
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(root.join(document)).expect("a document");
        for command in commands(&text) {
            // Options before --help are checked, but nothing is run.
            let words: Vec<&str> = command
                .iter()
                .map(String::as_str)
                .chain(["--help"])
                .collect();
            let output = boxcam_train(&words);
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{document}: {command:?}: {error}");
            count += 1;
        }
    }
    assert!(count > 30, "{count} commands found");
}
