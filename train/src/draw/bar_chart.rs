//! A chart of horizontal bars, one per class: the scores of a model.

use super::svg::{Anchor, Svg, TextStyle, truncated};
use super::theme::Theme;

/// Distance between two bars in pixels.
const ROW_HEIGHT: f32 = 24.0;

/// Left end of the bars in pixels.
const LEFT: f32 = 150.0;
/// Length of a bar of value 1 in pixels.
const LENGTH: f32 = 420.0;

/// Height above the first bar in pixels.
const HEADER_HEIGHT: f32 = 84.0;

/// An SVG chart of values in `0..=1`, in the given order; the largest is highlighted.
#[must_use]
pub fn bar_chart(title: &str, subtitle: &str, values: &[(&str, f32)], theme: Theme) -> String {
    let bottom = HEADER_HEIGHT + values.len() as f32 * ROW_HEIGHT;
    let width = LEFT + LENGTH + 80.0;
    let mut svg = Svg::new(width as u32, (bottom + 40.0) as u32);
    svg.rectangle([0.0, 0.0, width, bottom + 40.0], 0.0, theme.background);
    let heading = TextStyle::new(17.0, theme.text).bold();
    svg.text((24.0, 34.0), heading, &truncated(title, 60));
    svg.text(
        (24.0, 56.0),
        TextStyle::new(12.0, theme.muted),
        &truncated(subtitle, 95),
    );
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let x = LEFT + tick * LENGTH;
        svg.path(&[(x, HEADER_HEIGHT - 6.0), (x, bottom)], 1.0, theme.grid);
        let style = TextStyle::new(11.0, theme.muted).anchored(Anchor::Middle);
        svg.text((x, bottom + 18.0), style, &tick.to_string());
    }
    let top = values.iter().map(|(_, value)| *value).fold(0.0, f32::max);
    for (row, &(name, value)) in values.iter().enumerate() {
        let y = HEADER_HEIGHT + row as f32 * ROW_HEIGHT;
        draw_bar(&mut svg, y, name, value, value >= top, theme);
    }
    svg.finish()
}

fn draw_bar(svg: &mut Svg, y: f32, name: &str, value: f32, is_top: bool, theme: Theme) {
    let (color, text_color) = if is_top {
        (theme.second, theme.text)
    } else {
        (theme.first, theme.muted)
    };
    let baseline = y + ROW_HEIGHT * 0.62;
    let mut style = TextStyle::new(12.5, text_color);
    style.bold = is_top;
    let label = truncated(name, 17);
    svg.text((LEFT - 10.0, baseline), style.anchored(Anchor::End), &label);
    // A score of 0 still has a visible bar.
    let length = (value.clamp(0.0, 1.0) * LENGTH).max(1.5);
    svg.rectangle([LEFT, y + 3.0, length, ROW_HEIGHT - 7.0], 1.5, color);
    svg.text(
        (LEFT + length + 8.0, baseline),
        style,
        &format!("{value:.3}"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::theme::hex;

    #[test]
    fn bars_have_the_length_of_their_values_and_the_largest_is_highlighted() {
        let svg = bar_chart("t", "a", &[("x", 0.25), ("y<", 0.75)], Theme::LIGHT);
        assert!(svg.contains("y&lt;"));
        for (value, color) in [(0.25, Theme::LIGHT.first), (0.75, Theme::LIGHT.second)] {
            let length = format!("width=\"{:.1}\"", value * LENGTH);
            let bar = svg.lines().find(|line| line.contains(&length));
            assert!(bar.expect("drawn").contains(&hex(color)));
        }
    }
}
