//! The colours of the overlay.
//!
//! Class colours are Paul Tol's *light* scheme (<https://personal.sron.nl/~pault/>): they stay apart for
//! people who see few colours, and black writing can be read on each of them.

use embedded_graphics::pixelcolor::Rgb888;

use crate::label::ClassId;

/// Writing on a class colour, and the rim that keeps a light line readable on a light picture.
pub(super) const INK: Rgb888 = Rgb888::new(0, 0, 0);
/// Writing on dark ground, and the true box.
pub(super) const CHALK: Rgb888 = Rgb888::new(255, 255, 255);
/// Writing that should not draw the eye.
pub(super) const QUIET: Rgb888 = Rgb888::new(170, 170, 170);
/// Ground of what a person should come for; no class has it.
pub(super) const ALARM: Rgb888 = Rgb888::new(0xFF, 0xC0, 0x00);

const CLASSES: [Rgb888; 8] = [
    Rgb888::new(0x99, 0xDD, 0xFF),
    Rgb888::new(0xEE, 0x88, 0x66),
    Rgb888::new(0xBB, 0xCC, 0x33),
    Rgb888::new(0xFF, 0xAA, 0xBB),
    Rgb888::new(0xEE, 0xDD, 0x88),
    Rgb888::new(0x44, 0xBB, 0x99),
    Rgb888::new(0x77, 0xAA, 0xDD),
    Rgb888::new(0xAA, 0xAA, 0x00),
];

/// The colour of a class, always the same one; with more than eight classes some share one.
pub(super) fn of_class(class: ClassId) -> Rgb888 {
    CLASSES[class.index() % CLASSES.len()]
}

#[cfg(test)]
mod tests {
    use embedded_graphics::prelude::RgbColor;

    use super::*;

    /// Relative luminance after WCAG 2.
    fn luminance(colour: Rgb888) -> f32 {
        let linear = |channel: u8| {
            let share = f32::from(channel) / 255.0;
            if share <= 0.04045 {
                share / 12.92
            } else {
                ((share + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(colour.r()) + 0.7152 * linear(colour.g()) + 0.0722 * linear(colour.b())
    }

    #[test]
    fn ink_is_readable_on_every_class_colour() {
        for index in 0..CLASSES.len() {
            let class = luminance(of_class(ClassId::new(index)));
            let contrast = (class + 0.05) / (luminance(INK) + 0.05);
            // WCAG asks 7 of small writing at its strictest level.
            assert!(contrast >= 7.0, "colour {index}: {contrast}");
        }
    }

    #[test]
    fn ink_is_readable_on_the_alarm() {
        assert!((luminance(ALARM) + 0.05) / (luminance(INK) + 0.05) >= 7.0);
    }

    #[test]
    fn any_class_has_a_colour() {
        assert_eq!(
            of_class(ClassId::new(usize::MAX)),
            of_class(ClassId::new(7))
        );
    }
}
