//! The thread pool of a network, and the split of a map's rows between its threads.

use std::ops::Range;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use thiserror::Error;

/// The inference threads could not be started.
#[derive(Debug, Error)]
#[error("can't start {threads} inference threads ({source}); try fewer")]
pub struct ThreadPoolError {
    threads: usize,
    source: ThreadPoolBuildError,
}

/// A rayon thread pool, or the calling thread alone.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    threads: usize,
    rayon: Option<Arc<ThreadPool>>,
}

/// Rows of a map for one thread, with scratch memory of its own.
pub(super) struct RowBlock<'a, T> {
    /// Rows of the output.
    pub(super) rows: Range<usize>,
    /// Exactly these rows.
    pub(super) output: &'a mut [T],
    pub(super) scratch: &'a mut [T],
}

impl Pool {
    /// At least one thread.
    pub(super) fn new(threads: usize) -> Result<Self, ThreadPoolError> {
        let threads = threads.max(1);
        if threads == 1 {
            let rayon = None;
            return Ok(Self { threads, rayon });
        }
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("int8-{number}"))
            .build()
            .map_err(|source| ThreadPoolError { threads, source })?;
        let rayon = Some(Arc::new(pool));
        Ok(Self { threads, rayon })
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `work` in one of the pool's threads. Row blocks that it distributes then wake only the other threads, which
    /// are still spinning after the layer before.
    pub(super) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.rayon {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Calls `work` with one row block per thread. `row_stride` is the length of a row in the output; the scratch
    /// memory is split evenly.
    pub(super) fn for_each_row_block<T: Send>(
        &self,
        all: RowBlock<'_, T>,
        row_stride: usize,
        work: &(impl Fn(RowBlock<'_, T>) + Sync),
    ) {
        let blocks = self.threads.min(all.rows.len());
        split_rows(all, row_stride, blocks, work);
    }
}

/// Halves the rows recursively, which allocates nothing.
fn split_rows<T: Send>(
    all: RowBlock<'_, T>,
    row_stride: usize,
    blocks: usize,
    work: &(impl Fn(RowBlock<'_, T>) + Sync),
) {
    if blocks <= 1 {
        return work(all);
    }
    let RowBlock {
        rows,
        output,
        scratch,
    } = all;
    let first_blocks = blocks / 2;
    let first_rows = rows.len() * first_blocks / blocks;
    let middle = rows.start + first_rows;
    let (first_output, output) = output.split_at_mut(first_rows * row_stride);
    let (first_scratch, scratch) = scratch.split_at_mut(scratch.len() * first_blocks / blocks);
    let first = RowBlock {
        rows: rows.start..middle,
        output: first_output,
        scratch: first_scratch,
    };
    let second = RowBlock {
        rows: middle..rows.end,
        output,
        scratch,
    };
    rayon::join(
        || split_rows(first, row_stride, first_blocks, work),
        || split_rows(second, row_stride, blocks - first_blocks, work),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_computed_once_with_separate_scratch_memory() {
        for (threads, rows) in [(1, 5), (2, 1), (3, 7), (4, 3), (8, 100)] {
            let pool = Pool::new(threads).expect("threads start");
            let (mut output, mut scratch) = (vec![0u8; rows * 3], vec![0u8; pool.threads() * 2]);
            let all = RowBlock {
                rows: 10..10 + rows,
                output: &mut output,
                scratch: &mut scratch,
            };
            let work = |block: RowBlock<'_, u8>| {
                assert!(block.scratch.len() >= 2);
                block.scratch.iter_mut().for_each(|byte| *byte += 1);
                for (row, out) in block.rows.zip(block.output.chunks_exact_mut(3)) {
                    out.iter_mut().for_each(|out| *out += row as u8);
                }
            };
            pool.install(|| pool.for_each_row_block(all, 3, &work));
            let expected: Vec<u8> = (0..rows).flat_map(|row| [10 + row as u8; 3]).collect();
            assert_eq!(output, expected, "{threads} threads, {rows} rows");
            assert!(scratch.iter().all(|&uses| uses <= 1));
        }
    }
}
