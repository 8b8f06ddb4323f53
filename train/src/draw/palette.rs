//! The colours of drawings, for a light and a dark page.
//!
//! The two series are blue and orange of Okabe and Ito (<https://jfly.uni-koeln.de/color/>), lightened on a dark page:
//! they stay apart for people who see few colours.

/// Red, green, blue.
pub type Colour = [u8; 3];

/// The colours of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    /// Behind everything.
    pub ground: Colour,
    /// Behind a part that stands out.
    pub raised: Colour,
    /// Writing.
    pub ink: Colour,
    /// Writing that should not draw the eye.
    pub quiet: Colour,
    /// Lines of a grid, and rims.
    pub line: Colour,
    /// Training, and what is drawn first.
    pub first: Colour,
    /// Validation, and what is drawn second.
    pub second: Colour,
}

impl Palette {
    /// For a white page.
    pub const LIGHT: Self = Self {
        ground: [0xff, 0xff, 0xff],
        raised: [0xf4, 0xf6, 0xf8],
        ink: [0x1c, 0x21, 0x28],
        quiet: [0x5d, 0x67, 0x72],
        line: [0xd8, 0xdd, 0xe3],
        first: [0x00, 0x72, 0xb2],
        second: [0xd5, 0x5e, 0x00],
    };

    /// For a dark page.
    pub const DARK: Self = Self {
        ground: [0x16, 0x1a, 0x20],
        raised: [0x20, 0x26, 0x2e],
        ink: [0xe8, 0xec, 0xf0],
        quiet: [0x9a, 0xa5, 0xb1],
        line: [0x36, 0x3e, 0x48],
        first: [0x5a, 0xb4, 0xe9],
        second: [0xf2, 0x9a, 0x4b],
    };
}

/// `#rrggbb`
#[must_use]
pub fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance after WCAG 2.
    fn luminance(colour: Colour) -> f32 {
        let linear = |channel: u8| {
            let share = f32::from(channel) / 255.0;
            if share <= 0.04045 {
                share / 12.92
            } else {
                ((share + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
    }

    fn contrast(a: Colour, b: Colour) -> f32 {
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn writing_and_lines_are_readable_on_both_pages() {
        for page in [Palette::LIGHT, Palette::DARK] {
            for ground in [page.ground, page.raised] {
                // WCAG asks 7 of writing at its strictest level, 4.5 at the usual one, 3 of lines.
                assert!(contrast(page.ink, ground) >= 7.0, "{page:?}");
                assert!(contrast(page.quiet, ground) >= 4.5, "{page:?}");
                assert!(contrast(page.first, ground) >= 3.0, "{page:?}");
                assert!(contrast(page.second, ground) >= 3.0, "{page:?}");
            }
        }
    }
}
