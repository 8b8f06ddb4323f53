//! Talk to the person at the terminal, which never ends a run.
//!
//! The standard library's `eprintln!` panics where standard error can't be written: the disk that it goes to is
//! full, or the terminal was closed. Here that loses the line and nothing else. It has the same name, so that
//! nobody can forget to use it.

/// Says a line on standard error, if anybody can hear it.
macro_rules! eprintln {
    ($($words:tt)*) => {{
        let line = format!("{}\n", format_args!($($words)*));
        // There is nowhere to say that it failed.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    }};
}
