//! The picture of a model: the trunk from top to bottom, stage by stage, and the heads side by side below it.

use boxcam::card::{BOX_OUTPUT, CLASS_OUTPUT};

use super::blocks::{Block, Head, Outline};
use super::table::{bytes, grouped, shape, short};
use super::{Summary, Totals};
use crate::draw::palette::Palette;
use crate::draw::svg::{Anchor, Svg, Writing, shortened};

const WIDTH: f32 = 860.0;
const MARGIN: f32 = 30.0;

/// Space between two cards, with the arrow in it.
const GAP: f32 = 26.0;

/// Height of a line within a card, and the room above and below the lines.
const LINE: f32 = 25.0;
const ROOM: f32 = 11.0;

/// Where the lines of a stage begin, and the bars of its multiply-adds.
const TEXT: f32 = 176.0;
const BAR: f32 = 640.0;
const BAR_LENGTH: f32 = 110.0;

/// The picture of a model of that name.
#[must_use]
pub fn diagram(name: &str, summary: &Summary, page: Palette) -> String {
    let outline = Outline::of(summary);
    let height = height(&outline);
    let mut drawing = Drawing {
        svg: Svg::new(WIDTH as u32, height as u32),
        page,
        y: 0.0,
        all: summary.totals(),
    };
    let whole = [0.0, 0.0, WIDTH, height];
    drawing.svg.rectangle(whole, 0.0, page.ground, None);
    drawing.title(name, summary);
    drawing.input(summary);
    for stage in &outline.stages {
        drawing.arrow(WIDTH / 2.0);
        drawing.stage(&stage.map, &stage.blocks);
    }
    drawing.heads(&outline.heads);
    drawing.svg.finish()
}

/// Of all that [`diagram`] draws, in the same order.
fn height(outline: &Outline) -> f32 {
    let stages = outline
        .stages
        .iter()
        .map(|stage| GAP + card(stage.blocks.len()));
    let lines = outline
        .heads
        .iter()
        .map(|head| head.lines.len())
        .max()
        .unwrap_or(0);
    let heads = if outline.heads.is_empty() {
        0.0
    } else {
        2.0 * GAP + card(lines + 2) + GAP + card(2)
    };
    TITLE + card(1) + stages.sum::<f32>() + heads + MARGIN
}

/// Height of the title and the lines below it.
const TITLE: f32 = 106.0;

/// Height of a card with so many lines.
fn card(lines: usize) -> f32 {
    2.0 * ROOM + lines as f32 * LINE
}

struct Drawing {
    svg: Svg,
    page: Palette,
    /// Below all that is drawn yet.
    y: f32,
    all: Totals,
}

impl Drawing {
    fn title(&mut self, name: &str, summary: &Summary) {
        let heading = Writing::new(21.0, self.page.ink).bold();
        self.svg.text((MARGIN, 42.0), heading, &shortened(name, 56));
        let stored = if summary.is_int8 { "int8" } else { "floats" };
        let about = format!(
            "{} parameters ({} as floats, {} as int8; stored as {stored}), {} multiply-adds",
            grouped(self.all.parameters()),
            bytes(self.all.float_bytes()),
            bytes(self.all.int8_bytes()),
            short(self.all.multiply_adds)
        );
        self.svg
            .text((MARGIN, 66.0), Writing::new(13.0, self.page.quiet), &about);
        let legend = "A stage for each size of the map; after a dot, channels. Bars are shares of the multiply-adds.";
        let quiet = Writing::new(12.0, self.page.quiet);
        self.svg.text((MARGIN, 86.0), quiet, legend);
        self.y = TITLE;
    }

    fn input(&mut self, summary: &Summary) {
        let height = card(1);
        let area = [WIDTH / 2.0 - 160.0, self.y, 320.0, height];
        self.svg
            .rectangle(area, 8.0, self.page.ground, Some(self.page.quiet));
        let sides = summary.input.get(1..).unwrap_or(&[]);
        let words = format!("picture {}", shape(sides));
        let writing = Writing::new(14.0, self.page.ink)
            .bold()
            .anchored(Anchor::Middle);
        self.svg.text((WIDTH / 2.0, self.base(0)), writing, &words);
        self.y += height;
    }

    /// The base line of a line of the card that begins at `y`.
    fn base(&self, line: usize) -> f32 {
        self.y + ROOM + line as f32 * LINE + 0.68 * LINE
    }

    /// From `y` down to the next card.
    fn arrow(&mut self, x: f32) {
        let end = self.y + GAP;
        let ink = self.page.quiet;
        self.svg.path(&[(x, self.y), (x, end - 7.0)], 2.0, ink);
        self.svg.arrow_head((x, end - 1.0), ink);
        self.y = end;
    }

    fn stage(&mut self, map: &[usize], blocks: &[Block]) {
        let height = card(blocks.len());
        let area = [MARGIN, self.y, WIDTH - 2.0 * MARGIN, height];
        self.svg
            .rectangle(area, 8.0, self.page.raised, Some(self.page.line));
        let sides = Writing::new(15.0, self.page.ink)
            .bold()
            .anchored(Anchor::Middle);
        let middle = (MARGIN + TEXT) / 2.0;
        self.svg
            .text((middle, self.y + height / 2.0 + 5.0), sides, &shape(map));
        for (line, block) in blocks.iter().enumerate() {
            let base = self.base(line);
            if block.count > 1 {
                let count = format!("{} ×", block.count);
                let writing = Writing::new(13.0, self.page.second)
                    .bold()
                    .anchored(Anchor::End);
                self.svg.text((TEXT + 26.0, base), writing, &count);
            }
            let words = Writing::new(13.0, self.page.ink);
            self.svg
                .text((TEXT + 34.0, base), words, &shortened(&block.text, 54));
            self.share(base, &block.totals);
        }
        self.y += height;
    }

    /// A bar as long as its part of all multiply-adds.
    fn share(&mut self, base: f32, totals: &Totals) {
        let part = totals.multiply_adds as f32 / self.all.multiply_adds.max(1) as f32;
        let length = (part * 2.0).min(1.0) * BAR_LENGTH;
        self.svg.rectangle(
            [BAR, base - 9.0, length.max(1.0), 9.0],
            1.5,
            self.page.first,
            None,
        );
        let words = Writing::new(11.0, self.page.quiet);
        let share = format!("{}, {:.0}%", short(totals.multiply_adds), part * 100.0);
        self.svg
            .text((BAR + length.max(1.0) + 7.0, base - 0.5), words, &share);
    }

    /// Lines from the trunk to each head, the heads, their outputs.
    fn heads(&mut self, heads: &[Head]) {
        if heads.is_empty() {
            return;
        }
        let width = (WIDTH - 2.0 * MARGIN - (heads.len() - 1) as f32 * GAP) / heads.len() as f32;
        let lines = heads.iter().map(|head| head.lines.len()).max().unwrap_or(0) + 2;
        let middle = |place: usize| MARGIN + width / 2.0 + place as f32 * (width + GAP);
        let top = self.y;
        for place in 0..heads.len() {
            let line = [
                (WIDTH / 2.0, top),
                (WIDTH / 2.0, top + GAP),
                (middle(place), top + GAP),
            ];
            self.svg.path(&line, 2.0, self.page.quiet);
            self.y = top + GAP;
            self.arrow(middle(place));
        }
        let top = self.y;
        for (place, head) in heads.iter().enumerate() {
            self.y = top;
            self.head(head, [middle(place) - width / 2.0, top, width, card(lines)]);
            self.y = top + card(lines);
            self.arrow(middle(place));
            self.output(head, [middle(place) - width / 2.0, self.y, width, card(2)]);
        }
    }

    fn head(&mut self, head: &Head, area: [f32; 4]) {
        self.svg
            .rectangle(area, 8.0, self.page.raised, Some(self.page.line));
        let left = area[0] + 18.0;
        let title = match head.output.as_str() {
            CLASS_OUTPUT => "class head",
            BOX_OUTPUT => "box head",
            other => other,
        };
        let bold = Writing::new(14.0, self.page.ink).bold();
        self.svg
            .text((left, self.base(0)), bold, &shortened(title, 40));
        let words = Writing::new(12.5, self.page.ink);
        for (line, text) in head.lines.iter().enumerate() {
            self.svg
                .text((left, self.base(line + 1)), words, &shortened(text, 52));
        }
        let sums = format!(
            "{} parameters, {} multiply-adds",
            grouped(head.totals.parameters()),
            short(head.totals.multiply_adds)
        );
        let quiet = Writing::new(11.0, self.page.quiet);
        self.svg
            .text((left, self.base(head.lines.len() + 1)), quiet, &sums);
    }

    fn output(&mut self, head: &Head, area: [f32; 4]) {
        self.svg
            .rectangle(area, 8.0, self.page.ground, Some(self.page.second));
        let numbers = head.shape.iter().skip(1).product::<usize>();
        let about = match head.output.as_str() {
            CLASS_OUTPUT => format!("{numbers} scores, one a class"),
            BOX_OUTPUT => "x_min, x_max, y_min, y_max".to_owned(),
            _ => format!("{numbers} numbers"),
        };
        let middle = area[0] + area[2] / 2.0;
        let bold = Writing::new(13.5, self.page.ink)
            .bold()
            .anchored(Anchor::Middle);
        self.svg
            .text((middle, self.base(0)), bold, &shortened(&head.output, 40));
        let words = Writing::new(12.0, self.page.quiet).anchored(Anchor::Middle);
        self.svg.text((middle, self.base(1)), words, &about);
    }
}
