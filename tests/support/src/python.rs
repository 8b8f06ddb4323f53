//! Python packages in virtual environments, which are kept between runs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Installs packages many times faster than pip.
const UV: &str = "uv==0.9.6";

/// Packages from PyPI, and the Python that runs them.
#[derive(Debug, Clone)]
pub struct PythonPackages {
    interpreter: PathBuf,
    /// What `pip install` takes: names, or `--requirement` and a file.
    packages: Vec<String>,
    /// The version of Python that the packages are selected for, if it is not that of the interpreter.
    version: Option<String>,
}

impl PythonPackages {
    /// The packages of a requirements file, for `python3`.
    pub fn of_requirements(file: &Path) -> Self {
        let packages = ["--requirement".to_owned(), file.display().to_string()];
        Self {
            interpreter: "python3".into(),
            packages: packages.into(),
            version: None,
        }
    }

    /// These packages as they are selected for a version of Python; an earlier release of it may run them.
    pub fn for_version(interpreter: PathBuf, version: &str, packages: &[String]) -> Self {
        Self {
            interpreter,
            packages: packages.to_owned(),
            version: Some(version.to_owned()),
        }
    }

    /// The interpreter of a virtual environment that has the packages, in the folder `home`; `None` if they cannot be installed.
    pub fn installed(&self, home: &Path) -> Option<PathBuf> {
        let python = home.join("bin/python");
        let is_made = python.exists()
            || succeeds(
                Command::new(&self.interpreter)
                    .args(["-m", "venv"])
                    .arg(home),
            );
        let is_ready = is_made && (self.install_by_uv(home) || self.install_by_pip(&python));
        is_ready.then_some(python)
    }

    fn install_by_uv(&self, home: &Path) -> bool {
        let [python, uv] = ["bin/python", "bin/uv"].map(|name| home.join(name));
        let is_there = uv.exists() || succeeds(pip(&python).arg(UV));
        let mut install = Command::new(uv);
        install.args(["pip", "install", "--quiet", "--native-tls", "--python"]);
        install.arg(python).args(&self.packages);
        if let Some(version) = &self.version {
            install.args(["--python-version", version]);
        }
        is_there && succeeds(&mut install)
    }

    /// pip takes other settings than uv: a mirror of PyPI, a proxy, certificates.
    fn install_by_pip(&self, python: &Path) -> bool {
        let mut install = pip(python);
        if self.version.is_some() {
            install.arg("--ignore-requires-python");
        }
        succeeds(install.args(&self.packages))
    }
}

fn pip(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet", "--no-compile"]);
    command.arg("--disable-pip-version-check");
    command
}

fn succeeds(command: &mut Command) -> bool {
    let output = command.output();
    output.is_ok_and(|output| output.status.success())
}
