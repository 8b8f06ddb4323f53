//! Contact sheets: pictures in a grid, with captions below each.
//!
//! A picture larger than its cell is scaled down with its aspect ratio kept; a smaller one keeps its size.

use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};

use super::DrawError;
use super::svg::{Svg, TextStyle, overlay_svg, truncated};
use super::theme::{Color, Theme};

/// Space around tiles in pixels.
const GAP: u32 = 14;

/// Height of a caption line in pixels.
const CAPTION_HEIGHT: u32 = 16;

/// Font size of captions in pixels.
const CAPTION_SIZE: f32 = 12.0;

/// Height of the title and subtitle in pixels.
const HEADER_HEIGHT: u32 = 58;

/// The colors of every sheet: dark, so that photographs stand out.
pub const SHEET_THEME: Theme = Theme::DARK;

#[derive(Debug, Clone)]
pub struct Tile {
    pub picture: RgbImage,
    /// Lines below the picture, each with its color.
    pub captions: Vec<(String, Color)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Tiles per row, at least 1.
    pub columns: usize,
    /// Maximum width and height of a picture in pixels; rows are as high as the highest picture.
    pub tile: (u32, u32),
}

/// Draws a title, a subtitle and the tiles, row by row.
///
/// # Errors
/// [`DrawError`] if the sheet is too large for the memory.
pub fn draw_sheet(
    title: &str,
    subtitle: &str,
    tiles: &[Tile],
    grid: Grid,
) -> Result<RgbImage, DrawError> {
    let layout = SheetLayout::new(tiles, grid);
    let (width, height) = layout.size(tiles.len());
    let mut page = RgbImage::from_pixel(width, height, Rgb(SHEET_THEME.background));
    let mut text = Svg::new(width, height);
    let left = GAP as f32;
    text.text(
        (left, 26.0),
        TextStyle::new(17.0, SHEET_THEME.text).bold(),
        title,
    );
    text.text(
        (left, 46.0),
        TextStyle::new(CAPTION_SIZE, SHEET_THEME.muted),
        subtitle,
    );
    for (number, tile) in tiles.iter().enumerate() {
        layout.draw_tile(number, tile, &mut page, &mut text);
    }
    overlay_svg(&mut page, &text.finish())?;
    Ok(page)
}

/// Positions of the tiles of a sheet.
struct SheetLayout {
    columns: u32,
    tile: (u32, u32),
    captions: u32,
}

impl SheetLayout {
    fn new(tiles: &[Tile], grid: Grid) -> Self {
        let captions = tiles.iter().map(|tile| tile.captions.len()).max();
        let heights = tiles
            .iter()
            .map(|tile| size_within(&tile.picture, grid.tile).1);
        Self {
            columns: grid.columns.clamp(1, tiles.len().max(1)) as u32,
            tile: (grid.tile.0, heights.max().unwrap_or(grid.tile.1)),
            captions: captions.unwrap_or(0) as u32,
        }
    }

    /// Distance between the corners of neighboring tiles.
    fn pitch(&self) -> (u32, u32) {
        let captions = if self.captions > 0 {
            self.captions * CAPTION_HEIGHT + 4
        } else {
            0
        };
        (self.tile.0 + GAP, self.tile.1 + captions + GAP)
    }

    fn size(&self, tiles: usize) -> (u32, u32) {
        let rows = (tiles as u32).div_ceil(self.columns);
        let (across, down) = self.pitch();
        (GAP + self.columns * across, HEADER_HEIGHT + rows * down)
    }

    fn corner(&self, number: usize) -> (u32, u32) {
        let (row, column) = (number as u32 / self.columns, number as u32 % self.columns);
        let (across, down) = self.pitch();
        (GAP + column * across, HEADER_HEIGHT + row * down)
    }

    fn draw_tile(&self, number: usize, tile: &Tile, page: &mut RgbImage, svg: &mut Svg) {
        let (left, top) = self.corner(number);
        let picture = fit_within(&tile.picture, self.tile);
        // The pictures of a row are aligned at the bottom.
        let (x_offset, y_offset) = (
            self.tile.0 - picture.width(),
            self.tile.1 - picture.height(),
        );
        overlay(
            page,
            &picture,
            i64::from(left + x_offset / 2),
            i64::from(top + y_offset),
        );
        // The average width of DejaVu's letters is 0.6 of the font size.
        let max_letters = (self.tile.0 as f32 / (0.6 * CAPTION_SIZE)) as usize;
        let mut y = (top + self.tile.1 + 4) as f32 + CAPTION_SIZE;
        for (text, color) in &tile.captions {
            let style = TextStyle::new(CAPTION_SIZE, *color);
            svg.text((left as f32, y), style, &truncated(text, max_letters));
            y += CAPTION_HEIGHT as f32;
        }
    }
}

/// The picture scaled down to fit within `limit`, which is at least 1 x 1 pixel; a smaller picture is not enlarged.
#[must_use]
pub fn fit_within(picture: &RgbImage, limit: (u32, u32)) -> RgbImage {
    let (width, height) = size_within(picture, limit);
    if (width, height) == picture.dimensions() {
        return picture.clone();
    }
    resize(picture, width, height, FilterType::Triangle)
}

fn size_within(picture: &RgbImage, limit: (u32, u32)) -> (u32, u32) {
    let (width, height) = picture.dimensions();
    if width <= limit.0 && height <= limit.1 {
        return (width, height);
    }
    let scale = (f64::from(limit.0) / f64::from(width)).min(f64::from(limit.1) / f64::from(height));
    let scaled = |side: u32, max: u32| ((f64::from(side) * scale).round() as u32).clamp(1, max);
    (scaled(width, limit.0), scaled(height, limit.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(width: u32, height: u32) -> Tile {
        Tile {
            picture: RgbImage::from_pixel(width, height, Rgb([250, 0, 0])),
            captions: vec![("apple".to_owned(), SHEET_THEME.text)],
        }
    }

    #[test]
    fn tiles_are_inside_the_sheet_and_do_not_overlap() {
        let grid = Grid {
            columns: 3,
            tile: (40, 30),
        };
        let tiles = vec![tile(80, 30), tile(10, 10), tile(40, 300), tile(1, 1)];
        let layout = SheetLayout::new(&tiles, grid);
        let (width, height) = layout.size(tiles.len());
        let page = draw_sheet("t", "", &tiles, grid).expect("drawn");
        assert_eq!(page.dimensions(), (width, height));
        for (number, shown) in tiles.iter().enumerate() {
            let (x, y) = layout.corner(number);
            assert!(x + 40 <= width && y + 30 + CAPTION_HEIGHT <= height);
            let picture = fit_within(&shown.picture, grid.tile);
            assert!(picture.width() <= 40 && picture.height() <= 30);
            let at = (x + (40 - picture.width()) / 2, y + 30 - picture.height());
            assert_eq!(page.get_pixel(at.0, at.1).0, [250, 0, 0], "tile {number}");
        }
        let red = page.pixels().filter(|p| p.0 == [250, 0, 0]).count();
        assert_eq!(red, 40 * 15 + 100 + 4 * 30 + 1);
    }

    #[test]
    fn a_sheet_of_few_tiles_is_narrow() {
        let grid = Grid {
            columns: 8,
            tile: (40, 30),
        };
        let page = draw_sheet("t", "", &[tile(40, 30)], grid).expect("drawn");
        assert_eq!(page.width(), 40 + 2 * GAP);
        assert!(draw_sheet("t", "nothing", &[], grid).is_ok());
    }
}
