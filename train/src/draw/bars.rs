//! A chart of horizontal bars, one a name: the scores of a model.

use super::palette::Palette;
use super::svg::{Anchor, Svg, Writing, shortened};

/// Height of a bar and the space to the next.
const ROW: f32 = 24.0;

/// Where bars begin, and how long one of 1 is.
const LEFT: f32 = 150.0;
const LENGTH: f32 = 420.0;

/// Above the first bar.
const HEAD: f32 = 84.0;

/// A chart of values in `0..=1`, in the order given; the largest stands out.
#[must_use]
pub fn bars(title: &str, about: &str, values: &[(&str, f32)], page: Palette) -> String {
    let bottom = HEAD + values.len() as f32 * ROW;
    let width = LEFT + LENGTH + 80.0;
    let mut svg = Svg::new(width as u32, (bottom + 40.0) as u32);
    svg.rectangle([0.0, 0.0, width, bottom + 40.0], 0.0, page.ground, None);
    let heading = Writing::new(17.0, page.ink).bold();
    svg.text((24.0, 34.0), heading, &shortened(title, 60));
    svg.text(
        (24.0, 56.0),
        Writing::new(12.0, page.quiet),
        &shortened(about, 95),
    );
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let x = LEFT + tick * LENGTH;
        svg.path(&[(x, HEAD - 6.0), (x, bottom)], 1.0, page.line);
        let writing = Writing::new(11.0, page.quiet).anchored(Anchor::Middle);
        svg.text((x, bottom + 18.0), writing, &tick.to_string());
    }
    let top = values.iter().map(|(_, value)| *value).fold(0.0, f32::max);
    for (row, &(name, value)) in values.iter().enumerate() {
        let y = HEAD + row as f32 * ROW;
        bar(&mut svg, y, name, value, value >= top, page);
    }
    svg.finish()
}

fn bar(svg: &mut Svg, y: f32, name: &str, value: f32, is_top: bool, page: Palette) {
    let (colour, ink) = if is_top {
        (page.second, page.ink)
    } else {
        (page.first, page.quiet)
    };
    let base = y + ROW * 0.62;
    let mut writing = Writing::new(12.5, ink);
    writing.bold = is_top;
    let label = shortened(name, 17);
    svg.text((LEFT - 10.0, base), writing.anchored(Anchor::End), &label);
    // A score of nothing still shows where it is.
    let length = (value.clamp(0.0, 1.0) * LENGTH).max(1.5);
    svg.rectangle([LEFT, y + 3.0, length, ROW - 7.0], 1.5, colour, None);
    svg.text((LEFT + length + 8.0, base), writing, &format!("{value:.3}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::palette::hex;

    #[test]
    fn each_value_has_a_bar_of_its_length_and_one_stands_out() {
        let svg = bars("t", "a", &[("x", 0.25), ("y<", 0.75)], Palette::LIGHT);
        assert!(svg.contains("y&lt;"));
        for (value, colour) in [(0.25, Palette::LIGHT.first), (0.75, Palette::LIGHT.second)] {
            let length = format!("width=\"{:.1}\"", value * LENGTH);
            let bar = svg.lines().find(|line| line.contains(&length));
            assert!(bar.expect("drawn").contains(&hex(colour)));
        }
    }
}
