//! Ways to count: sliding-log rate, keyed rate, seats. No HTTP, no configuration; time is an argument.
