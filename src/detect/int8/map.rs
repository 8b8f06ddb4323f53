//! Where the pixels of a map lie in memory, and which of them a window covers.

/// Channels are stored in groups of so many: a map of 20 channels takes the room of 24. What is in the room behind
/// the last channel is multiplied by weights of 0.
pub const CHANNEL_GROUP: usize = 8;

/// Bytes behind the last pixel of a map that a kernel may read and must not write.
pub const SLACK: usize = 64;

/// Pixels around a map that hold its zero point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Border {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Pixels before each row.
    pub left: usize,
    /// Pixels behind each row.
    pub right: usize,
}

impl Border {
    /// Wide enough for both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            top: self.top.max(other.top),
            bottom: self.bottom.max(other.bottom),
            left: self.left.max(other.left),
            right: self.right.max(other.right),
        }
    }
}

/// Size of a map of activations, without its border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapSize {
    /// Rows.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Values of a pixel.
    pub channels: usize,
}

/// A map of activations in memory: row by row, each pixel's channels together, a border around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// What is stored.
    pub size: MapSize,
    /// What is stored around it.
    pub border: Border,
    /// Bytes from one pixel to the next.
    pub pixel: usize,
    /// Bytes from one row to the next.
    pub row: usize,
}

impl Layout {
    /// Of activations, whose channels are stored in groups of [`CHANNEL_GROUP`].
    #[must_use]
    pub fn new(size: MapSize, border: Border) -> Self {
        let pixel = size.channels.next_multiple_of(CHANNEL_GROUP);
        Self::with_pixel(size, border, pixel)
    }

    /// Of a picture, whose three colours lie without a gap.
    #[must_use]
    pub fn picture(size: MapSize, border: Border) -> Self {
        Self::with_pixel(size, border, size.channels)
    }

    fn with_pixel(size: MapSize, border: Border, pixel: usize) -> Self {
        let row = (border.left + size.width + border.right) * pixel;
        Self {
            size,
            border,
            pixel,
            row,
        }
    }

    /// Rows, those of the border included.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.border.top + self.size.height + self.border.bottom
    }

    /// Bytes in all, without [`SLACK`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rows() * self.row
    }

    /// Byte of the first channel of the first pixel in a row of the map.
    #[must_use]
    pub fn row_start(&self, y: usize) -> usize {
        (self.border.top + y) * self.row + self.border.left * self.pixel
    }
}

/// What a convolution looks at for one pixel of its output; without dilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows and pixels a row.
    pub kernel: [usize; 2],
    /// Pixels from one window to the next, down and across.
    pub stride: usize,
    /// What is around the map.
    pub border: Border,
}

impl Window {
    /// The one that sees nothing but the pixel.
    pub const POINT: Self = Self {
        kernel: [1, 1],
        stride: 1,
        border: Border {
            top: 0,
            bottom: 0,
            left: 0,
            right: 0,
        },
    };

    /// Rows and pixels a row of the output for an input of `height` and `width`; `None` where the window has no
    /// place in it.
    #[must_use]
    pub fn places(&self, height: usize, width: usize) -> Option<[usize; 2]> {
        let [down, across] = self.kernel;
        let places = |side: usize, kernel: usize| {
            Some(side.checked_sub(kernel)?.checked_div(self.stride)? + 1)
        };
        Some([
            places(self.border.top + height + self.border.bottom, down)?,
            places(self.border.left + width + self.border.right, across)?,
        ])
    }
}

/// How a kernel goes from window to window, in bytes, from where its input and output slices begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// Rows of the output.
    pub rows: usize,
    /// Pixels of an output row.
    pub width: usize,
    /// In the input, from a window to the next in its row.
    pub in_pixel: usize,
    /// In the input, from a row of windows to the next.
    pub in_row: usize,
    /// In the input, from a row of a window to the next of the same window.
    pub in_line: usize,
    /// In the output, from a pixel to the next.
    pub out_pixel: usize,
    /// In the output, from a row to the next.
    pub out_row: usize,
}

impl Walk {
    /// Over the rows of an output that begin with row `from`: the walk, and where it begins in both maps.
    #[must_use]
    pub fn new(
        window: &Window,
        input: &Layout,
        output: &Layout,
        from: usize,
        rows: usize,
    ) -> (Self, [usize; 2]) {
        let walk = Self {
            rows,
            width: output.size.width,
            in_pixel: window.stride * input.pixel,
            in_row: window.stride * input.row,
            in_line: input.row,
            out_pixel: output.pixel,
            out_row: output.row,
        };
        let above = input.border.top - window.border.top;
        let before = input.border.left - window.border.left;
        let begin = (above + from * window.stride) * input.row + before * input.pixel;
        (walk, [begin, output.row_start(from)])
    }

    /// Whether windows follow each other without a jump at the end of a row.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.rows <= 1 || self.in_row == self.width * self.in_pixel
    }

    /// Stretches of windows that follow each other evenly: how many, and the windows in each.
    #[must_use]
    pub fn runs(&self) -> [usize; 2] {
        if self.is_flat() {
            [1, self.rows * self.width]
        } else {
            [self.rows, self.width]
        }
    }

    /// Where the pixel with this number, counted over all rows, is in the output.
    #[must_use]
    pub fn output_of(&self, pixel: usize) -> usize {
        pixel / self.width * self.out_row + pixel % self.width * self.out_pixel
    }

    /// Whether kernels that read `line` bytes of each of `lines` rows of a window and write `pixel` bytes stay
    /// inside slices of these lengths.
    #[must_use]
    pub fn fits(
        &self,
        lines: usize,
        line: usize,
        pixel: usize,
        input: usize,
        output: usize,
    ) -> bool {
        let Some([last_row, last_pixel]) = self.last() else {
            return true;
        };
        let last = |row: usize, pixel: usize| last_row * row + last_pixel * pixel;
        let read = last(self.in_row, self.in_pixel) + lines.saturating_sub(1) * self.in_line + line;
        let written = last(self.out_row, self.out_pixel) + pixel;
        read <= input && written <= output
    }

    fn last(&self) -> Option<[usize; 2]> {
        Some([self.rows.checked_sub(1)?, self.width.checked_sub(1)?])
    }
}
