//! The colors of drawings, for a light and a dark theme.
//!
//! The two series are blue and orange of Okabe and Ito (<https://jfly.uni-koeln.de/color/>), lightened in the dark theme;
//! color-blind people can distinguish them.

/// Red, green, blue.
pub type Color = [u8; 3];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    pub background: Color,
    /// Background of highlighted parts.
    pub surface: Color,
    pub text: Color,
    /// Secondary text.
    pub muted: Color,
    /// Grid lines and borders.
    pub grid: Color,
    /// First series: training.
    pub first: Color,
    /// Second series: validation.
    pub second: Color,
}

impl Theme {
    pub const LIGHT: Self = Self {
        background: [0xff, 0xff, 0xff],
        surface: [0xf4, 0xf6, 0xf8],
        text: [0x1c, 0x21, 0x28],
        muted: [0x5d, 0x67, 0x72],
        grid: [0xd8, 0xdd, 0xe3],
        first: [0x00, 0x72, 0xb2],
        second: [0xd5, 0x5e, 0x00],
    };

    pub const DARK: Self = Self {
        background: [0x16, 0x1a, 0x20],
        surface: [0x20, 0x26, 0x2e],
        text: [0xe8, 0xec, 0xf0],
        muted: [0x9a, 0xa5, 0xb1],
        grid: [0x36, 0x3e, 0x48],
        first: [0x5a, 0xb4, 0xe9],
        second: [0xf2, 0x9a, 0x4b],
    };
}

/// `#rrggbb`
#[must_use]
pub fn hex([red, green, blue]: Color) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance as defined by WCAG 2.
    fn luminance(color: Color) -> f32 {
        let linear = |channel: u8| {
            let value = f32::from(channel) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(color[0]) + 0.7152 * linear(color[1]) + 0.0722 * linear(color[2])
    }

    fn contrast(a: Color, b: Color) -> f32 {
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn text_and_lines_have_enough_contrast() {
        for theme in [Theme::LIGHT, Theme::DARK] {
            for background in [theme.background, theme.surface] {
                // WCAG: 7 for text at level AAA, 4.5 at level AA, 3 for graphics.
                assert!(contrast(theme.text, background) >= 7.0, "{theme:?}");
                assert!(contrast(theme.muted, background) >= 4.5, "{theme:?}");
                assert!(contrast(theme.first, background) >= 3.0, "{theme:?}");
                assert!(contrast(theme.second, background) >= 3.0, "{theme:?}");
            }
        }
    }
}
