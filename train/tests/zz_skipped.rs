//! Lists the skipped tests at the end of a test run. cargo runs test programs in the order of their names.

fn main() {
    test_support::print_summary();
}
