//! Contact sheets: pictures in rows and columns, words beneath each.
//!
//! In go [`Tile`]s of any size, out comes one picture. A tile that is larger than its place is made smaller, its aspect
//! ratio kept; a smaller one stays as it is.

use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};

use super::DrawError;
use super::palette::{Colour, Palette};
use super::svg::{Svg, Writing, lay_over, shortened};

/// Space around tiles, in pixels.
const GAP: u32 = 14;

/// Height of a line of words beneath a tile.
const LINE: u32 = 16;

/// Size of the letters beneath a tile.
const LETTERS: f32 = 12.0;

/// Height of the title and the line below it.
const HEAD: u32 = 58;

/// The page of every sheet: dark, so that photographs stand out.
pub const PAGE: Palette = Palette::DARK;

/// One picture of a sheet.
#[derive(Debug, Clone)]
pub struct Tile {
    /// The picture.
    pub picture: RgbImage,
    /// Lines beneath it, each in its colour.
    pub captions: Vec<(String, Colour)>,
}

/// How a sheet is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Tiles a row, at least 1.
    pub columns: usize,
    /// The most pixels that a tile's picture is wide and high; where all are lower, so are the rows.
    pub tile: (u32, u32),
}

/// A title, a line that explains, and tiles in the order of reading.
///
/// # Errors
/// [`DrawError`] where the sheet is too large for the memory.
pub fn sheet(title: &str, about: &str, tiles: &[Tile], grid: Grid) -> Result<RgbImage, DrawError> {
    let layout = Layout::new(tiles, grid);
    let (width, height) = layout.size(tiles.len());
    let mut page = RgbImage::from_pixel(width, height, Rgb(PAGE.ground));
    let mut words = Svg::new(width, height);
    let left = GAP as f32;
    words.text((left, 26.0), Writing::new(17.0, PAGE.ink).bold(), title);
    words.text((left, 46.0), Writing::new(LETTERS, PAGE.quiet), about);
    for (number, tile) in tiles.iter().enumerate() {
        layout.place(number, tile, &mut page, &mut words);
    }
    lay_over(&mut page, &words.finish())?;
    Ok(page)
}

/// Where things go.
struct Layout {
    columns: u32,
    tile: (u32, u32),
    captions: u32,
}

impl Layout {
    fn new(tiles: &[Tile], grid: Grid) -> Self {
        let captions = tiles.iter().map(|tile| tile.captions.len()).max();
        let heights = tiles
            .iter()
            .map(|tile| fitted_size(&tile.picture, grid.tile).1);
        Self {
            columns: grid.columns.clamp(1, tiles.len().max(1)) as u32,
            tile: (grid.tile.0, heights.max().unwrap_or(grid.tile.1)),
            captions: captions.unwrap_or(0) as u32,
        }
    }

    /// From one tile's corner to the next.
    fn pitch(&self) -> (u32, u32) {
        let words = if self.captions > 0 {
            self.captions * LINE + 4
        } else {
            0
        };
        (self.tile.0 + GAP, self.tile.1 + words + GAP)
    }

    fn size(&self, tiles: usize) -> (u32, u32) {
        let rows = (tiles as u32).div_ceil(self.columns);
        let (across, down) = self.pitch();
        (GAP + self.columns * across, HEAD + rows * down)
    }

    fn corner(&self, number: usize) -> (u32, u32) {
        let (row, column) = (number as u32 / self.columns, number as u32 % self.columns);
        let (across, down) = self.pitch();
        (GAP + column * across, HEAD + row * down)
    }

    fn place(&self, number: usize, tile: &Tile, page: &mut RgbImage, words: &mut Svg) {
        let (left, top) = self.corner(number);
        let picture = fitted(&tile.picture, self.tile);
        // Pictures stand on one line, whatever their height.
        let (across, down) = (
            self.tile.0 - picture.width(),
            self.tile.1 - picture.height(),
        );
        overlay(
            page,
            &picture,
            i64::from(left + across / 2),
            i64::from(top + down),
        );
        // DejaVu's letters are 0.6 of their size wide, on average.
        let most = (self.tile.0 as f32 / (0.6 * LETTERS)) as usize;
        let mut y = (top + self.tile.1 + 4) as f32 + LETTERS;
        for (text, colour) in &tile.captions {
            let writing = Writing::new(LETTERS, *colour);
            words.text((left as f32, y), writing, &shortened(text, most));
            y += LINE as f32;
        }
    }
}

/// The picture at a size that fits into `room`, which has a pixel at least; never larger than it was.
#[must_use]
pub fn fitted(picture: &RgbImage, room: (u32, u32)) -> RgbImage {
    let (width, height) = fitted_size(picture, room);
    if (width, height) == picture.dimensions() {
        return picture.clone();
    }
    resize(picture, width, height, FilterType::Triangle)
}

fn fitted_size(picture: &RgbImage, room: (u32, u32)) -> (u32, u32) {
    let (width, height) = picture.dimensions();
    if width <= room.0 && height <= room.1 {
        return (width, height);
    }
    let share = (f64::from(room.0) / f64::from(width)).min(f64::from(room.1) / f64::from(height));
    let scaled = |side: u32, most: u32| ((f64::from(side) * share).round() as u32).clamp(1, most);
    (scaled(width, room.0), scaled(height, room.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(width: u32, height: u32) -> Tile {
        Tile {
            picture: RgbImage::from_pixel(width, height, Rgb([250, 0, 0])),
            captions: vec![("apple".to_owned(), PAGE.ink)],
        }
    }

    #[test]
    fn every_tile_is_inside_the_page_and_apart_from_the_others() {
        let grid = Grid {
            columns: 3,
            tile: (40, 30),
        };
        let tiles = vec![tile(80, 30), tile(10, 10), tile(40, 300), tile(1, 1)];
        let layout = Layout::new(&tiles, grid);
        let (width, height) = layout.size(tiles.len());
        let page = sheet("t", "", &tiles, grid).expect("drawn");
        assert_eq!(page.dimensions(), (width, height));
        for (number, shown) in tiles.iter().enumerate() {
            let (x, y) = layout.corner(number);
            assert!(x + 40 <= width && y + 30 + LINE <= height);
            let picture = fitted(&shown.picture, grid.tile);
            assert!(picture.width() <= 40 && picture.height() <= 30);
            let at = (x + (40 - picture.width()) / 2, y + 30 - picture.height());
            assert_eq!(page.get_pixel(at.0, at.1).0, [250, 0, 0], "tile {number}");
        }
        let red = page.pixels().filter(|p| p.0 == [250, 0, 0]).count();
        assert_eq!(red, 40 * 15 + 100 + 4 * 30 + 1);
    }

    #[test]
    fn a_sheet_of_few_tiles_is_no_wider_than_they_are() {
        let grid = Grid {
            columns: 8,
            tile: (40, 30),
        };
        let page = sheet("t", "", &[tile(40, 30)], grid).expect("drawn");
        assert_eq!(page.width(), 40 + 2 * GAP);
        assert!(sheet("t", "nothing", &[], grid).is_ok());
    }
}
