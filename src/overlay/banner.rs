//! A band across the picture that a person reads from across the room: no camera, no picture yet.

use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;

use super::fill;
use super::palette::{ALARM, CHALK, INK};
use super::tag::Lettering;
use crate::health::CaptureState;

/// What a band says, line by line.
pub(super) struct Banner {
    lines: [&'static str; 2],
    is_alarm: bool,
}

impl Banner {
    /// What is said of a picture that no model has seen yet.
    pub(super) const NO_MODEL: Self = Self {
        lines: ["waiting for", "the model"],
        is_alarm: false,
    };

    /// What is said while no frames come; `None` while they do.
    pub(super) const fn of_state(state: CaptureState) -> Option<Self> {
        let (lines, is_alarm) = match state {
            CaptureState::Starting => (["waiting for", "first frame"], false),
            CaptureState::Live => return None,
            CaptureState::Stalled => (["camera:", "stalled"], true),
            CaptureState::Reopening => (["camera:", "reopening"], true),
        };
        Some(Self { lines, is_alarm })
    }

    /// Draws the band over the middle of the target, always the same size, so that one covers the other.
    pub(super) fn draw<D>(&self, target: &mut D) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let area = target.bounding_box();
        let height = (area.size.height * 9 / 20).clamp(1, area.size.width.max(1));
        let top = area.top_left.y + (area.size.height.saturating_sub(height) / 2) as i32;
        let band = Rectangle::new(
            Point::new(area.top_left.x, top),
            Size::new(area.size.width, height),
        );
        let (ink, ground) = if self.is_alarm {
            (INK, ALARM)
        } else {
            (CHALK, INK)
        };
        fill(target, &band, ground)?;
        // A dark or a light picture would hide one of the two grounds.
        let rim = (height / 24).max(1);
        for y in [top, top + height as i32 - rim as i32] {
            let line = Rectangle::new(
                Point::new(band.top_left.x, y),
                Size::new(band.size.width, rim),
            );
            fill(target, &line, ink)?;
        }
        let longest = self.lines.iter().map(|line| line.len()).max().unwrap_or(1);
        // Tails of letters stay off the rim.
        let lettering = Lettering::fitting(longest, Size::new(band.size.width, height * 4 / 9));
        let line_height = lettering.height();
        let slack = height.saturating_sub(2 * line_height) / 2;
        let mut target = target.clipped(&band);
        for (row, line) in (0..).zip(self.lines) {
            let width = lettering.width(line.len());
            let left = band.top_left.x + (band.size.width.saturating_sub(width) / 2) as i32;
            let place = Point::new(left, top + (slack + row * line_height) as i32);
            lettering.write(&mut target, line, place, ink)?;
        }
        Ok(())
    }
}
