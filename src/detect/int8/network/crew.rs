//! The threads that share out the rows of a map.

use std::ops::Range;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// The threads of a network; the one who runs it does all alone where there is but one.
#[derive(Clone, Debug)]
pub(super) struct Crew {
    pool: Option<Arc<ThreadPool>>,
    size: usize,
}

/// A part of a map's rows, and a thread's own memory for what is in between.
pub(super) struct Share<'a, T> {
    /// Rows of the output.
    pub(super) rows: Range<usize>,
    /// The output from the first of these rows on.
    pub(super) output: &'a mut [T],
    /// Memory that no other share has.
    pub(super) own: &'a mut [T],
}

impl Crew {
    /// So many threads; at least one.
    pub(super) fn new(threads: usize) -> Result<Self, String> {
        let size = threads.max(1);
        let pool = (size > 1).then(|| {
            let builder = ThreadPoolBuilder::new().num_threads(size);
            builder
                .thread_name(|number| format!("int8-{number}"))
                .build()
        });
        Ok(Self {
            pool: pool
                .transpose()
                .map_err(|error| error.to_string())?
                .map(Arc::new),
            size,
        })
    }

    /// Threads.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Does something as one of the threads, so that sharing wakes only the others, which are awake still from the
    /// share before.
    pub(super) fn lead<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Has all rows worked on, each by one thread; `row` is the length of one in the output, and `own` is split
    /// evenly.
    pub(super) fn share<T: Send>(
        &self,
        whole: Share<'_, T>,
        row: usize,
        work: &(impl Fn(Share<'_, T>) + Sync),
    ) {
        let parts = self.size.min(whole.rows.len());
        halve(whole, row, parts, work);
    }
}

/// Halves the rows until there are as many parts as asked for. Nothing is allocated on the way.
fn halve<T: Send>(
    whole: Share<'_, T>,
    row: usize,
    parts: usize,
    work: &(impl Fn(Share<'_, T>) + Sync),
) {
    if parts <= 1 {
        return work(whole);
    }
    let Share { rows, output, own } = whole;
    let first_parts = parts / 2;
    let first_rows = rows.len() * first_parts / parts;
    let middle = rows.start + first_rows;
    let (first_output, output) = output.split_at_mut(first_rows * row);
    let (first_own, own) = own.split_at_mut(own.len() * first_parts / parts);
    let first = Share {
        rows: rows.start..middle,
        output: first_output,
        own: first_own,
    };
    let second = Share {
        rows: middle..rows.end,
        output,
        own,
    };
    rayon::join(
        || halve(first, row, first_parts, work),
        || halve(second, row, parts - first_parts, work),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_worked_on_once_by_one_with_memory_of_its_own() {
        for (threads, rows) in [(1, 5), (2, 1), (3, 7), (4, 3), (8, 100)] {
            let crew = Crew::new(threads).expect("threads");
            let (mut output, mut own) = (vec![0u8; rows * 3], vec![0u8; crew.size() * 2]);
            let whole = Share {
                rows: 10..10 + rows,
                output: &mut output,
                own: &mut own,
            };
            let work = |share: Share<'_, u8>| {
                assert!(share.own.len() >= 2);
                share.own.iter_mut().for_each(|own| *own += 1);
                for (row, out) in share.rows.zip(share.output.chunks_exact_mut(3)) {
                    out.iter_mut().for_each(|out| *out += row as u8);
                }
            };
            crew.lead(|| crew.share(whole, 3, &work));
            let expected: Vec<u8> = (0..rows).flat_map(|row| [10 + row as u8; 3]).collect();
            assert_eq!(output, expected, "{threads} threads, {rows} rows");
            assert!(own.iter().all(|&times| times <= 1));
        }
    }
}
