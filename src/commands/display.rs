//! Which display shows the frames: a window, a screen without a desktop, or none.

use boxcam::warn;
use std::path::Path;

use boxcam::config::{DisplayChoice, RunConfig, SourceChoice};
use boxcam::sink::Sink;

use super::Failure;

/// Opens what is asked for. `auto` is a window where there is a desktop; else a screen that boxcam may use and that
/// nobody else draws on; else nothing, without a word, as most machines without a desktop have no screen either.
pub(super) fn open(config: &RunConfig) -> Result<Option<Box<dyn Sink>>, Failure> {
    match &config.display {
        DisplayChoice::None => Ok(None),
        DisplayChoice::Window => open_window().map(Some),
        DisplayChoice::Framebuffer(path) => open_framebuffer(path.as_deref(), config).map(Some),
        DisplayChoice::Auto if has_desktop() => match open_window() {
            Ok(window) => Ok(Some(window)),
            Err(failure) => {
                warn!("{failure}; going on without a window");
                Ok(None)
            }
        },
        DisplayChoice::Auto if is_screen_wanted(&config.source) => {
            Ok(open_framebuffer(None, config).ok())
        }
        DisplayChoice::Auto => Ok(None),
    }
}

/// Whether X11 or Wayland is there for this build to open a window on.
fn has_desktop() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(feature = "window") && (is_set("DISPLAY") || is_set("WAYLAND_DISPLAY"))
}

/// Whether a screen should be taken without anybody having asked for it. A list of pictures is a piece of work,
/// which should end, and not something to stand on a screen.
fn is_screen_wanted(source: &SourceChoice) -> bool {
    !matches!(source, SourceChoice::Pictures(_)) && !is_screen_taken()
}

#[cfg(feature = "window")]
fn open_window() -> Result<Box<dyn Sink>, Failure> {
    Ok(Box::new(boxcam::sink::window::WindowSink::open()?))
}

#[cfg(not(feature = "window"))]
fn open_window() -> Result<Box<dyn Sink>, Failure> {
    Err(Failure::NotBuilt {
        what: "windows",
        feature: "window",
    })
}

#[cfg(all(feature = "framebuffer", target_os = "linux"))]
fn is_screen_taken() -> bool {
    boxcam::sink::framebuffer::is_screen_taken()
}

#[cfg(not(all(feature = "framebuffer", target_os = "linux")))]
fn is_screen_taken() -> bool {
    false
}

#[cfg(all(feature = "framebuffer", target_os = "linux"))]
fn open_framebuffer(path: Option<&Path>, config: &RunConfig) -> Result<Box<dyn Sink>, Failure> {
    use std::process::Command;

    let mut sink = boxcam::sink::framebuffer::FramebufferSink::open(path, config.rotate)?;
    let taken = std::env::current_exe().map(|this| {
        let mut guard = Command::new(this);
        guard.arg("console-guard");
        sink.take_console(guard)
    });
    // Pictures are shown all the same; a person sees what else is seen.
    match taken {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => warn!(
            "text of the console may show over the pictures; run boxcam from that console, as root or with \
             the capability CAP_SYS_TTY_CONFIG"
        ),
        Ok(Err(error)) => warn!("{error}; text may show over the pictures"),
        Err(error) => warn!("the console has no guard ({error})"),
    }
    Ok(Box::new(sink))
}

#[cfg(not(all(feature = "framebuffer", target_os = "linux")))]
fn open_framebuffer(_: Option<&Path>, _: &RunConfig) -> Result<Box<dyn Sink>, Failure> {
    Err(Failure::NotBuilt {
        what: "framebuffers (which it knows on Linux only)",
        feature: "framebuffer",
    })
}
