//! Matrix products on slices: the one place that calls `gemm`.

use std::mem::MaybeUninit;

/// A matrix that lies row by row in a slice, or the transpose of such a one.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: isize,
    column_step: isize,
}

impl<'a> Matrix<'a> {
    /// `rows` rows, one after the other.
    pub(super) fn rows(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "{rows} x {columns}");
        Self {
            values,
            rows,
            columns,
            row_step: columns as isize,
            column_step: 1,
        }
    }

    /// Rows for columns.
    pub(super) fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
        }
    }
}

/// `out = a * b`; `out` lies row by row. Gives it back as the numbers that it then holds.
pub(super) fn product<'o>(out: &'o mut [MaybeUninit<f32>], a: Matrix, b: Matrix) -> &'o mut [f32] {
    multiply(out.as_mut_ptr().cast(), out.len(), false, a, b);
    // `gemm` writes every place of `out` where it is not told to add.
    #[allow(unsafe_code, reason = "all of it has just been written")]
    unsafe {
        out.assume_init_mut()
    }
}

/// `out += a * b`; `out` lies row by row.
pub(super) fn add_product(out: &mut [f32], a: Matrix, b: Matrix) {
    multiply(out.as_mut_ptr(), out.len(), true, a, b);
}

fn multiply(out: *mut f32, length: usize, add: bool, a: Matrix, b: Matrix) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "columns of a, rows of b");
    assert_eq!(length, m * n, "{m} x {n}");
    // `gemm` reads and writes through pointers: the three asserts keep it within the slices.
    #[allow(unsafe_code, reason = "the crate has no safe call")]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            n as isize,
            add,
            a.values.as_ptr(),
            a.column_step,
            a.row_step,
            b.values.as_ptr(),
            b.column_step,
            b.row_step,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
